import { readFile } from "node:fs/promises"
import { parseSealingKey } from "../../adapters/disk-keys/sealing-key.ts"
import { IdentityError, type IdentityErrorOptions, toIdentityError } from "../../core/errors.ts"
import { fileTrouble } from "../../core/file-trouble.ts"
import type { Secret } from "../../core/secret.ts"
import type { ServerConfig } from "../config/server-config.ts"

/**
 * The key that seals all others: from the configured file, else from the variable ASSAY_SEALING_KEY.
 * @throws IdentityError `not-ready`, reason `sealing-key-missing`, when there is none, `file-unreadable` when its file
 * cannot be read; `malformed`
 */
export async function readSealingKey(config: ServerConfig, environment: NodeJS.ProcessEnv): Promise<Secret> {
  const { sealingKeyFile } = config.keys
  const text = sealingKeyFile === undefined ? environment["ASSAY_SEALING_KEY"] : await readKeyFile(sealingKeyFile)
  if (text === undefined || text === "") {
    const next =
      "for a new trust domain, name a file by keys.sealing_key_file, and assay init --make-sealing-key makes it"
    throw missing("no sealing key: set keys.sealing_key_file or the variable ASSAY_SEALING_KEY", { next })
  }
  try {
    return parseSealingKey(text)
  } catch (thrown) {
    const { code, message } = toIdentityError(thrown)
    throw new IdentityError(code, `${sealingKeyFile ?? "ASSAY_SEALING_KEY"}: ${message}`, { cause: thrown })
  }
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8")
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") {
      throw missing(`there is no sealing key at "${path}" (keys.sealing_key_file)`, { cause: thrown })
    }
    throw fileTrouble(`sealing key ${path} (keys.sealing_key_file)`, thrown)
  }
}

function missing(message: string, more: Pick<IdentityErrorOptions, "cause" | "next">): IdentityError {
  return new IdentityError("not-ready", message, { ...more, reason: "sealing-key-missing" })
}
