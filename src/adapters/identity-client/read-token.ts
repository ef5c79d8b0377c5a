import { open } from "node:fs/promises"
import { IdentityError } from "../../core/errors.ts"

/**
 * Read the platform token, at most 16 KiB, without the white space around it. Called for every call that needs one, since
 * the platform replaces the file while we run. @throws IdentityError `not-ready` @see AGT-30
 */
export async function readToken(file: string): Promise<string> {
  const text = (await readBounded(file)).trim()
  if (text === "") throw new IdentityError("not-ready", `token file ${file} is empty`)
  if (!TOKEN.test(text)) throw new IdentityError("not-ready", `token file ${file} holds what cannot be a token`)
  return text
}

async function readBounded(file: string): Promise<string> {
  try {
    await using handle = await open(file, "r")
    const buffer = Buffer.alloc(MAX_TOKEN + 1)
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
    if (bytesRead <= MAX_TOKEN) return buffer.toString("latin1", 0, bytesRead)
  } catch (cause) {
    throw new IdentityError("not-ready", `token file ${file} cannot be read`, { cause })
  }
  throw new IdentityError("not-ready", `token file ${file} is longer than 16 KiB`)
}

const MAX_TOKEN = 16 * 1024
/** What may stand after `Bearer `, RFC 6750 section 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/
