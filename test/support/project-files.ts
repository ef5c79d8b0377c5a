import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Root of the checkout, with a slash at the end. */
export const PROJECT = fileURLToPath(new URL("../../", import.meta.url))

export interface ProjectFile {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** The files of the project that match a glob, in order of their path. */
export function projectFiles(pattern: string): readonly ProjectFile[] {
  return globSync(pattern, { cwd: PROJECT, exclude: ["node_modules/**"] })
    .map((path) => path.replaceAll("\\", "/"))
    .sort()
    .map((path) => ({ path, text: readFileSync(PROJECT + path, "utf8") }))
}
