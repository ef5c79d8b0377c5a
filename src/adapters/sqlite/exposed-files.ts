import { stat } from "node:fs/promises"

/** Those files of the store at `path` that users other than their owner may read or write, with their permissions. */
export async function exposedFiles(path: string): Promise<readonly ExposedFile[]> {
  const found = await Promise.all(SUFFIXES.map((suffix) => permissionsOf(`${path}${suffix}`)))
  return found.flatMap((file) => (file === undefined || (file.mode & 0o077) === 0 ? [] : [file]))
}

export interface ExposedFile {
  readonly file: string
  readonly mode: number
}

/** `undefined` for one that is not there. */
async function permissionsOf(file: string): Promise<ExposedFile | undefined> {
  const found = await stat(file).catch(() => undefined)
  return found === undefined ? undefined : { file, mode: found.mode & 0o777 }
}

/** What SQLite calls its database, its write-ahead log and the index of that. */
const SUFFIXES = ["", "-wal", "-shm"]
