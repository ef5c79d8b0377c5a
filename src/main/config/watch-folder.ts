import { type FSWatcher, watch } from "node:fs"
import { dirname } from "node:path"

/**
 * Call `changed` at the first change of something in the folder of `file`: a file that is replaced takes its own watch with it. The
 * watch ends then, since a folder in which a store writes changes thousands of times a second; whoever looked at the file begins
 * another. Without one (`undefined`), looking in intervals is enough.
 */
export function watchFolderOf(file: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(file), { persistent: false }, () => {
      watcher.close()
      changed()
    })
    return watcher.on("error", () => {})
  } catch {
    return undefined
  }
}
