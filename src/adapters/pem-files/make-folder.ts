import { mkdir } from "node:fs/promises"
import { dirname } from "node:path"

/**
 * Make a directory and those above it that are missing; one that is there stays as it is. Node's own recursive form tries for ever where
 * nothing can be made although the parent is there, as below a working directory that was removed, or in /proc. @throws as `mkdir` @see CLI-08
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await isMade(path, mode)) return
  await makeFolder(dirname(path), mode)
  await mkdir(path, { mode }).catch(unlessThere)
}

/** False when the parent is missing. */
async function isMade(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode }).catch(unlessThere)
    return true
  } catch (thrown) {
    const isOrphan = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT"
    if (!isOrphan || dirname(path) === path) throw thrown
    return false
  }
}

function unlessThere(thrown: unknown): void {
  if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST")) throw thrown
}
