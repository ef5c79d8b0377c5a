import { randomBytes } from "node:crypto"
import { IdentityError } from "../../core/errors.ts"
import { Secret } from "../../core/secret.ts"
import { writeNewFile } from "./durable-file.ts"

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
 * Write a new sealing key, whole and durable when it resolves, readable by its owner alone.
 * @throws IdentityError `already-exists`: a sealing key is never overwritten @see STO-23
 */
export async function makeSealingKeyFile(path: string): Promise<void> {
  try {
    await writeNewFile(path, Buffer.from(`${randomBytes(KEY_BYTES).toString("hex")}\n`))
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
    if (code === "EEXIST") throw new IdentityError("already-exists", `there is a file at "${path}" already`, { cause })
    throw new IdentityError("not-ready", `sealing key "${path}" cannot be made (${code})`, {
      cause,
      reason: "key-unusable",
    })
  }
}

const KEY_BYTES = 32
const HEX = /^[0-9a-fA-F]{64}$/
