import { randomUUID } from "node:crypto"
import { link, open, unlink } from "node:fs/promises"
import { dirname } from "node:path"
import { backup, DatabaseSync } from "node:sqlite"
import { IdentityError } from "../../core/errors.ts"
import { asNotReady, openDatabaseReader } from "./open-database.ts"

/**
 * Copy the store at `from` into a new file `to`, as it stands at one moment, also while a server writes it. For its owner alone (0600),
 * checked page by page, whole or not there after a crash, durable when it resolves. The server's log of writes grows until the copy is
 * made. @param stepped called between two steps @returns how many bytes it has
 * @throws IdentityError `not-found`; `already-exists`: nothing is overwritten; `not-ready`, reason `backup-failed` @see STO-33
 */
export async function backupStore(from: string, to: string, stepped = () => {}): Promise<number> {
  const draft = `${to}.${randomUUID()}.tmp`
  try {
    await copyInto(from, draft, stepped)
    const bytes = await syncFile(draft)
    await link(draft, to)
    await syncFile(dirname(to))
    return bytes
  } catch (cause) {
    throw failureOf(cause, to)
  } finally {
    for (const suffix of ["", "-wal", "-shm"]) await unlink(`${draft}${suffix}`).catch(() => {})
  }
}

async function copyInto(from: string, draft: string, stepped: () => void): Promise<void> {
  using source = openDatabaseReader(from)
  await using _made = await open(draft, "wx", 0o600)
  // Without a snapshot that is held, SQLite begins anew after each commit of the server, and never comes to the end of a large store.
  source.exec("BEGIN; SELECT 1 FROM commit_mark")
  await backup(source, draft, { rate: PAGES, progress: stepped })
  using copy = new DatabaseSync(draft)
  // One file holds all of it, wherever it is carried.
  copy.exec("PRAGMA journal_mode = DELETE")
  const found = copy.prepare("PRAGMA quick_check").get()?.["quick_check"]
  if (found !== "ok") throw new Error(`the copy is not sound: ${String(found)}`)
}

async function syncFile(path: string): Promise<number> {
  await using file = await open(path, "r")
  await file.sync()
  return (await file.stat()).size
}

function failureOf(cause: unknown, to: string): IdentityError {
  if (cause instanceof IdentityError) return cause
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  if (code === "EEXIST") return new IdentityError("already-exists", `there is a file at "${to}" already`, { cause })
  if (cause instanceof Error && "errcode" in cause) return asNotReady(cause)
  const message = `the store cannot be copied to "${to}"${code === "" ? "" : ` (${code})`}`
  return new IdentityError("not-ready", message, { cause, reason: "backup-failed" })
}

/** Of each step, between which a server writes on: 4 MiB. */
const PAGES = 1024
