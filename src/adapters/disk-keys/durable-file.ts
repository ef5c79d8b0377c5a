import { randomUUID } from "node:crypto"
import { link, open, rename, unlink } from "node:fs/promises"
import { dirname } from "node:path"

/**
 * Write a new file so that after a crash it is either whole or not there; durable when it resolves. Rejects with EEXIST
 * when `path` is taken: a hard link, unlike a rename, never replaces.
 */
export async function writeNewFile(path: string, bytes: Uint8Array): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`
  try {
    await writeSynced(draft, bytes)
    await link(draft, path)
  } finally {
    await unlink(draft).catch(() => {})
  }
  await syncDirectory(dirname(path))
}

/** Make a file hold `bytes`: after a crash it is the one before or the new one, whole; durable when it resolves. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`
  try {
    await writeSynced(draft, bytes)
    await rename(draft, path)
  } catch (thrown) {
    await unlink(draft).catch(() => {})
    throw thrown
  }
  await syncDirectory(dirname(path))
}

/** Make names that were added to or taken from `directory` durable. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, "r")
  await handle.sync()
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, "wx", 0o600)
  await file.writeFile(bytes)
  await file.sync()
}
