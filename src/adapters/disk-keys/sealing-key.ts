import { randomBytes } from "node:crypto"
import { open } from "node:fs/promises"
import { IdentityError } from "../../core/errors.ts"
import { Secret } from "../../core/secret.ts"

/** Parse a sealing key: 32 bytes as 64 hex digits or as base64, with white space around it. @throws IdentityError `malformed` */
export function parseSealingKey(text: string): Secret {
  const trimmed = text.trim()
  if (HEX.test(trimmed)) return new Secret(Buffer.from(trimmed, "hex"))
  const bytes = Buffer.from(trimmed, "base64")
  // Decoding never fails; only what encodes back to the same text was base64.
  if (bytes.length === KEY_BYTES && bytes.toString("base64") === trimmed) return new Secret(bytes)
  throw new IdentityError("malformed", "sealing key is not 32 bytes as 64 hex digits or base64")
}

/**
 * Write a new sealing key, durable when it resolves, readable by its owner alone.
 * @throws IdentityError `already-exists`: a sealing key is never overwritten
 */
export async function makeSealingKeyFile(path: string): Promise<void> {
  await using file = await openNew(path)
  await file.writeFile(`${randomBytes(KEY_BYTES).toString("hex")}\n`)
  await file.sync()
}

async function openNew(path: string): ReturnType<typeof open> {
  try {
    return await open(path, "wx", 0o600)
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") {
      throw new IdentityError("already-exists", "sealing key file exists", { cause })
    }
    throw new IdentityError("not-ready", "sealing key file cannot be made", { cause })
  }
}

const KEY_BYTES = 32
const HEX = /^[0-9a-fA-F]{64}$/
