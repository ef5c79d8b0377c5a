import { readdir, readFile, stat, unlink } from "node:fs/promises"
import { join } from "node:path"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { KeyAlgorithm, KeyStore, Signer, SoftwareKeys } from "../../ports/keys.ts"
import { syncDirectory, writeNewFile } from "./durable-file.ts"
import { sealKey, unsealKey } from "./sealed-file.ts"

export interface DiskKeysOptions {
  /** For its owner alone, mode 0700. Never made here: a mistyped path must not look like a store without keys. */
  readonly directory: string
  /** 32 bytes. @see parseSealingKey */
  readonly sealingKey: Secret
  readonly software: SoftwareKeys
}

/**
 * Long-lived keys, one sealed file each. Trusting it means: whoever has the directory and the sealing key can sign as us;
 * whoever has the directory alone can only destroy. @throws IdentityError `not-found` when there is no such directory,
 * `not-ready` when others may enter it @see STO-22
 */
export async function openDiskKeys(options: DiskKeysOptions): Promise<KeyStore> {
  if (options.sealingKey.expose((key) => key.length) !== 32) throw new RangeError("sealing key is not 32 bytes")
  await demandPrivate(options.directory)
  return new DiskKeys(options)
}

class DiskKeys implements KeyStore {
  readonly #options: DiskKeysOptions

  constructor(options: DiskKeysOptions) {
    this.#options = options
  }

  async create(keyId: string, algorithm: KeyAlgorithm): Promise<Signer> {
    const path = this.#pathOf(keyId)
    using pkcs8 = await this.#options.software.generate(algorithm)
    try {
      await writeNewFile(path, sealKey({ keyId, algorithm }, pkcs8, this.#options.sealingKey))
    } catch (cause) {
      if (codeOf(cause) === "EEXIST") throw new IdentityError("already-exists", `key "${keyId}" exists`, { cause })
      throw notReady("key store cannot write", cause)
    }
    return await this.#options.software.load(pkcs8, algorithm)
  }

  async open(keyId: string): Promise<Signer> {
    const file = await readSealed(this.#pathOf(keyId), keyId)
    const { algorithm, pkcs8 } = unsealKey(keyId, file, this.#options.sealingKey)
    using opened = pkcs8
    return await this.#options.software.load(opened, algorithm)
  }

  async list(): Promise<readonly string[]> {
    const names = await readdir(this.#options.directory).catch((cause: unknown) => {
      throw notReady("key store cannot be read", cause)
    })
    return names
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length))
      .sort()
  }

  async destroy(keyId: string): Promise<void> {
    try {
      await unlink(this.#pathOf(keyId))
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT") throw notReady("key store cannot write", cause)
    }
    await syncDirectory(this.#options.directory)
  }

  /** @throws IdentityError `malformed`: a key id is a file name here, so its alphabet is closed */
  #pathOf(keyId: string): string {
    if (!KEY_ID.test(keyId)) throw new IdentityError("malformed", "key id is not 1 to 100 of a-z 0-9 - and _")
    return join(this.#options.directory, `${keyId}${SUFFIX}`)
  }
}

async function demandPrivate(directory: string): Promise<void> {
  const { mode, uid } = await stat(directory).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT") {
      const reason = "key-directory-missing"
      throw new IdentityError("not-found", `there is no key directory "${directory}"`, { cause, reason })
    }
    throw notReady(`key directory "${directory}" cannot be read`, cause)
  })
  if ((mode & 0o077) !== 0 || uid !== process.getuid?.()) {
    throw new IdentityError("not-ready", `key directory "${directory}" is open to others: chmod 700 and own it`, {
      reason: "key-directory-open",
    })
  }
}

async function readSealed(path: string, keyId: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size > MAX_FILE) throw notReady(`key "${keyId}" is larger than any sealed key`, undefined)
    return await readFile(path)
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") throw new IdentityError("not-found", `no key "${keyId}"`, { cause })
    if (cause instanceof IdentityError) throw cause
    throw notReady(`key "${keyId}" cannot be read`, cause)
  }
}

function notReady(message: string, cause: unknown): IdentityError {
  return new IdentityError("not-ready", message, { cause })
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined
}

const SUFFIX = ".sealed"
const MAX_FILE = 16_384
const KEY_ID = /^[a-z0-9_-]{1,100}$/
