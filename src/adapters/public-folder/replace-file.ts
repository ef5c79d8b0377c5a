import { randomBytes } from "node:crypto"
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join, relative } from "node:path"

/**
 * Make a file below `directory` hold `content`: by a rename, so that readers see the old one or the new one, also after a crash.
 * Readable by everybody, durable when it resolves. @returns false when it did already
 */
export async function replaceFile(directory: string, path: string, content: string): Promise<boolean> {
  const file = join(directory, path)
  if (await holds(file, content)) return false
  const folder = dirname(file)
  await makeFoldersIn(directory, folder)
  const draft = join(folder, `.${basename(file)}.${randomBytes(6).toString("hex")}.new`)
  try {
    await writeSynced(draft, content)
    await rename(draft, file)
  } catch (thrown) {
    await rm(draft, { force: true })
    throw thrown
  }
  await syncFolder(folder)
  await removeAbandoned(folder, basename(file))
  return true
}

/** Not by Node's recursive form, which tries for ever where nothing can be made. */
async function makeFoldersIn(directory: string, folder: string): Promise<void> {
  if (relative(directory, folder) === "") return
  await makeFoldersIn(directory, dirname(folder))
  await mkdir(folder, { mode: 0o755 }).catch((thrown: unknown) => {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST")) throw thrown
  })
}

async function holds(file: string, content: string): Promise<boolean> {
  const size = await stat(file).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  )
  return size === Buffer.byteLength(content) && (await readFile(file, "utf8")) === content
}

async function writeSynced(draft: string, content: string): Promise<void> {
  await using file = await open(draft, "wx", 0o644)
  await file.chmod(0o644) // whatever the umask is: it is for everybody
  await file.writeFile(content)
  await file.sync()
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r")
  await handle.sync()
}

/** Drafts of a process that was stopped in between; a young one may be another replica's. */
async function removeAbandoned(folder: string, name: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    if (!entry.startsWith(`.${name}.`) || !DRAFT.test(entry)) continue
    const draft = join(folder, entry)
    const age = await stat(draft).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    )
    if (age > ABANDONED) await rm(draft, { force: true })
  }
}

const DRAFT = /\.[0-9a-f]{12}\.new$/
const ABANDONED = 60_000
