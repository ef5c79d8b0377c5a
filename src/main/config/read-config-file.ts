import { readFile } from "node:fs/promises"
import { fileTrouble } from "../../core/file-trouble.ts"

/** @throws IdentityError `not-ready`, reason `file-unreadable`: that is no invalid configuration @see CFG-34 */
export async function readConfigFile(file: string): Promise<string> {
  return readNamedFile("configuration file", file)
}

/** The text of a file that somebody named as a `what`. @throws IdentityError `not-ready`, reason `file-unreadable` @see CFG-34 */
export async function readNamedFile(what: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8")
  } catch (cause) {
    throw fileTrouble(`${what} ${file}`, cause)
  }
}
