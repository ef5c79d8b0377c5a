import { createHmac, timingSafeEqual } from "node:crypto"
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import type { AuthorityWitness } from "../../ports/authority-witness.ts"
import { deriveSharedKey } from "./derived-key.ts"
import { replaceFile } from "./durable-file.ts"

export interface DiskWitnessOptions {
  /** The key folder. */
  readonly directory: string
  readonly sealingKey: Secret
  readonly encode: (record: AuthorityRecord) => string
  /** @throws TypeError when it is not what `encode` made */
  readonly parse: (text: string) => AuthorityRecord
}

/** One file beside the keys: 64 hex digits of HMAC-SHA256 under a key that the sealing key derives, a line feed, and the record. */
export function openDiskWitness({ directory, sealingKey, encode, parse }: DiskWitnessOptions): AuthorityWitness {
  const path = join(directory, WITNESS_FILE)
  const key = deriveSharedKey(sealingKey, "authority witness v1")
  const macOf = (text: string) => key.expose((bytes) => createHmac("sha256", bytes).update(text).digest())
  return {
    read: async () => {
      const content = await readIfThere(path)
      if (content === undefined) return undefined
      const [mac, text] = [content.slice(0, MAC_DIGITS), content.slice(MAC_DIGITS + 1)]
      if (!/^[0-9a-f]{64}$/.test(mac) || !timingSafeEqual(macOf(text), Buffer.from(mac, "hex"))) throw damaged(path)
      return parse(text)
    },
    write: async (record) => {
      const text = encode(record)
      await replaceFile(path, Buffer.from(`${macOf(text).toString("hex")}\n${text}`)).catch((cause: unknown) => {
        throw new IdentityError("not-ready", "the key folder cannot be written", { cause, reason: "witness-unwritten" })
      })
    },
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path)
    if (size > MAX_BYTES) throw damaged(path)
    return await readFile(path, "utf8")
  } catch (cause) {
    if (cause instanceof IdentityError) throw cause
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined
    throw new IdentityError("not-ready", `"${path}" cannot be read`, { cause, reason: "witness-damaged" })
  }
}

function damaged(path: string): IdentityError {
  return new IdentityError("not-ready", `"${path}" is damaged, or not of this sealing key`, {
    reason: "witness-damaged",
    next: "restore the key folder from a backup",
  })
}

const WITNESS_FILE = "authority.witness"
const MAC_DIGITS = 64
/** The waivers of an emergency name 20,000 consumers twice, each by up to 2.3 KiB: 4 MiB where they are called as in any cluster. */
const MAX_BYTES = 256 * 1024 * 1024
