import { type FSWatcher, watch } from "node:fs"
import { dirname } from "node:path"

/**
 * Call `changed` when something changes in the folder of `file`: a file that is replaced takes its own watch with it. Without
 * one (`undefined`), looking in intervals is enough.
 */
export function watchFolderOf(file: string, changed: () => void): FSWatcher | undefined {
  try {
    return watch(dirname(file), { persistent: false }, changed).on("error", () => {})
  } catch {
    return undefined
  }
}
