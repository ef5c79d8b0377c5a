import { mkdir, stat } from "node:fs/promises"
import { dirname } from "node:path"

/**
 * Make a directory and those above it that are missing; one that is there stays as it is. Node's own recursive form tries for ever where
 * nothing can be made although the parent is there, as below a working directory that was removed, or in /proc.
 * @returns what was made, the outermost first @throws as `mkdir` @see CLI-08
 */
export async function makeFolder(path: string, mode: number): Promise<readonly string[]> {
  const made = await makeOne(path, mode).catch((thrown: unknown) => {
    if (!hasCode(thrown, "ENOENT") || dirname(path) === path) throw thrown
    return undefined // its parent is missing
  })
  if (made !== undefined) return made
  const above = await makeFolder(dirname(path), mode)
  return [...above, ...(await makeOne(path, mode))]
}

async function makeOne(path: string, mode: number): Promise<readonly string[]> {
  try {
    await mkdir(path, { mode })
    return [path]
  } catch (thrown) {
    const isThere = hasCode(thrown, "EEXIST") && (await stat(path)).isDirectory()
    if (!isThere) throw thrown
    return []
  }
}

function hasCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code
}
