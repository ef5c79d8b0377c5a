import { open } from "node:fs/promises"
import { IdentityError } from "../../core/errors.ts"
import { fileTrouble } from "../../core/file-trouble.ts"

/**
 * The text of a file, or of a pipe, that somebody else writes. @param max bytes, a multiple of 1024 @param named what it is, for
 * messages @throws IdentityError `not-ready`, reason `file-unreadable`, when it cannot be read or is longer
 */
export async function readBounded(file: string, max: number, named = `file ${file}`): Promise<string> {
  let buffer = Buffer.alloc(Math.min(max, FIRST) + 1)
  let size = 0
  try {
    await using handle = await open(file, "r")
    while (size <= max) {
      if (size === buffer.length) buffer = Buffer.concat([buffer], Math.min(max + 1, size * GROWTH))
      const { bytesRead } = await handle.read(buffer, size, buffer.length - size, null)
      if (bytesRead === 0) return buffer.toString("utf8", 0, size)
      size += bytesRead
    }
  } catch (cause) {
    throw fileTrouble(named, cause)
  }
  throw unreadable(`${named} is longer than ${max / 1024} KiB`)
}

/** What is read is not what it should be, either. */
export function unreadable(message: string): IdentityError {
  return new IdentityError("not-ready", message, { reason: "file-unreadable" })
}

/** Most files are far shorter than they may be. */
const FIRST = 16 * 1024
const GROWTH = 4
