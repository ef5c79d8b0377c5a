import { readFile } from "node:fs/promises"
import { openDiskKeys } from "../../adapters/disk-keys/open-disk-keys.ts"
import { parseSealingKey } from "../../adapters/disk-keys/sealing-key.ts"
import { CryptoThread } from "../../adapters/process-keys/crypto-thread.ts"
import { makeSoftwareKeys } from "../../adapters/process-keys/software-keys.ts"
import { openSqliteStore, type SqliteStore } from "../../adapters/sqlite/open-store.ts"
import { chooseCryptoProvider } from "../../adapters/webcrypto/provider.ts"
import { createTrustDomain } from "../../app/authority/create-trust-domain.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { ServerConfig } from "../config/server-config.ts"

/** Everything of a server that outlives its process. */
export interface ServerState {
  readonly store: SqliteStore
  readonly keys: KeyStore
  /** Where keys are used and proofs verified. It holds no process alive; dispose it after the store. */
  readonly crypto: CryptoThread
}

/**
 * The key that seals all others: from the configured file, else from the variable ASSAY_SEALING_KEY.
 * @throws IdentityError `not-ready` when there is none
 */
export async function readSealingKey(config: ServerConfig, environment: NodeJS.ProcessEnv): Promise<Secret> {
  const { sealingKeyFile } = config.keys
  const text = sealingKeyFile === undefined ? environment["ASSAY_SEALING_KEY"] : await readFile(sealingKeyFile, "utf8")
  if (text === undefined || text === "") {
    throw new IdentityError(
      "not-ready",
      "no sealing key: set keys.sealing_key_file or the variable ASSAY_SEALING_KEY",
      {
        reason: "sealing-key-missing",
      },
    )
  }
  return parseSealingKey(text)
}

/** Open what `assay init` made. @throws IdentityError `not-found` when it was not */
export async function openServerState(config: ServerConfig, sealingKey: Secret): Promise<ServerState> {
  const store = await openSqliteStore({ path: config.storage.sqlite, mode: "open" })
  const crypto = new CryptoThread()
  return { store, keys: await openKeys(config, sealingKey, crypto), crypto }
}

/** Make store, root key and trust domain. @throws IdentityError `already-exists` */
export async function initServerState(
  config: ServerConfig,
  sealingKey: Secret,
  clock: Clock,
  random: Random,
): Promise<void> {
  await using store = await openSqliteStore({ path: config.storage.sqlite, mode: "create" })
  const { commonName, organization } = config.root
  await createTrustDomain(
    {
      trustDomain: config.trustDomain,
      algorithm: config.keys.algorithm,
      rootTtl: config.root.ttl,
      subject: { commonName, organization },
      backdate: ROOT_BACKDATE,
    },
    { journal: store.authorityJournal, audit: store.auditLog, keys: await openKeys(config, sealingKey), clock, random },
  )
}

async function openKeys(config: ServerConfig, sealingKey: Secret, thread?: CryptoThread): Promise<KeyStore> {
  const crypto = await chooseCryptoProvider(config.keys.cryptoProvider)
  const software = makeSoftwareKeys(thread === undefined ? { crypto } : { crypto, thread })
  return openDiskKeys({ directory: config.keys.directory, sealingKey, software })
}

/** A root starts well before anything it signs. */
const ROOT_BACKDATE = 3600
