import { readBounded, unreadable } from "./read-bounded.ts"

/**
 * Read a bearer token, at most 16 KiB, without the white space around it. Called for every call that needs one, since the
 * platform replaces the file while we run. @throws IdentityError `not-ready`, reason `file-unreadable` @see AGT-30
 */
export async function readToken(file: string): Promise<string> {
  const named = `token file ${file}`
  const text = (await readBounded(file, MAX_TOKEN, named)).trim()
  if (text === "") throw unreadable(`${named} is empty`)
  if (!TOKEN.test(text)) throw unreadable(`${named} holds what cannot be a token`)
  return text
}

const MAX_TOKEN = 16 * 1024
/** What may stand after `Bearer `, RFC 6750 section 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/
