import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from "node:fs/promises"
import { join } from "node:path"
import { IdentityError } from "../../core/errors.ts"
import type { FileContent, FileSet } from "../../ports/file-set.ts"
import { makeFolder } from "./make-folder.ts"

/**
 * A directory in the manner of the kubelet: files live in a version directory, `..data` is a symbolic link to the current
 * one, and each public name is a symbolic link through `..data`. One rename of `..data` changes all of them. What fails is
 * `already-exists` for a file of somebody else, else `not-ready`, reason `folder-unusable`, and leaves what is there.
 * @param version a name for the next version directory, never the same twice
 */
export function openVersionedDirectory(path: string, version: () => string): FileSet {
  return {
    publish: async (files) => {
      try {
        await publish(path, `..${version()}`, files)
      } catch (thrown) {
        throw thrown instanceof IdentityError ? thrown : unwritable(path, thrown)
      }
    },
  }
}

async function publish(path: string, name: string, files: ReadonlyMap<string, FileContent>): Promise<void> {
  await makeFolder(path, 0o755)
  await refuseForeign(path, files.keys())
  try {
    await writeVersion(join(path, name), files)
    await pointTo(path, name)
  } catch (thrown) {
    await discard(path, name)
    throw thrown
  }
  await linkNames(path, files.keys())
  await removeStale(path, name, new Set(files.keys()))
}

/** Everything is on disk before anything points to it. */
async function writeVersion(directory: string, files: ReadonlyMap<string, FileContent>): Promise<void> {
  await mkdir(directory, { mode: 0o755 })
  for (const [name, { content, secret }] of files) {
    await using file = await open(join(directory, name), "wx", secret ? 0o600 : 0o644)
    await file.writeFile(content)
    await file.sync()
  }
  await syncDirectory(directory)
}

async function pointTo(path: string, name: string): Promise<void> {
  const next = join(path, NEXT)
  await rm(next, { force: true })
  await symlink(name, next)
  await rename(next, join(path, CURRENT))
  await syncDirectory(path)
}

async function linkNames(path: string, names: Iterable<string>): Promise<void> {
  for (const name of names) {
    const link = join(path, name)
    if ((await linkTarget(link)) === undefined) await symlink(join(CURRENT, name), link)
  }
}

/** A disk that is full is not filled with what nobody will read, least of all with keys; what is in use stays. @see CLI-08 */
async function discard(path: string, name: string): Promise<void> {
  if ((await linkTarget(join(path, CURRENT))) === name) return
  await rm(join(path, name), { recursive: true, force: true }).catch(() => undefined) // the first error says more
}

/** Old versions, also those a crash left, and links to files that the set no longer has. */
async function removeStale(path: string, current: string, names: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(path)) {
    const entry = join(path, name)
    if (VERSION.test(name) && name !== current) await rm(entry, { recursive: true, force: true })
    if (!names.has(name) && (await linkTarget(entry)) === join(CURRENT, name)) await rm(entry, { force: true })
  }
}

/** A file of that name which we did not make is somebody's; it is not ours to replace. */
async function refuseForeign(path: string, names: Iterable<string>): Promise<void> {
  for (const name of names) {
    const entry = join(path, name)
    const exists = await lstat(entry).then(
      () => true,
      () => false,
    )
    if (exists && (await linkTarget(entry)) !== join(CURRENT, name)) {
      throw new IdentityError("already-exists", `${entry} exists and was not written by assay; move it away`)
    }
  }
}

function unwritable(path: string, cause: unknown): IdentityError {
  const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
  const message = `folder "${path}" cannot be written${why}`
  return new IdentityError("not-ready", message, { cause, reason: "folder-unusable" })
}

function linkTarget(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined)
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r")
  await directory.sync()
}

const CURRENT = "..data"
const NEXT = "..data_next"
const VERSION = /^\.\.\d{4}_/
