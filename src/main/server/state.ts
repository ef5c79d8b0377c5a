import { dirname } from "node:path"
import { deriveSharedKey } from "../../adapters/disk-keys/derived-key.ts"
import { openDiskWitness } from "../../adapters/disk-keys/disk-witness.ts"
import { openDiskKeys } from "../../adapters/disk-keys/open-disk-keys.ts"
import { CryptoThread } from "../../adapters/process-keys/crypto-thread.ts"
import { makeSoftwareKeys } from "../../adapters/process-keys/software-keys.ts"
import { encodeAuthority, parseAuthority } from "../../adapters/sqlite/authority-json.ts"
import { openSqliteStore, type SqliteStore } from "../../adapters/sqlite/open-store.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { chooseCryptoProvider } from "../../adapters/webcrypto/provider.ts"
import { createTrustDomain } from "../../app/authority/create-trust-domain.ts"
import { demandNewest, makeWitnessedJournal } from "../../app/authority/witnessed-journal.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { AuthorityJournal } from "../../ports/authority-journal.ts"
import type { AuthorityWitness } from "../../ports/authority-witness.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignGuarded } from "../../ports/intent-signer.ts"
import type { KeyStore } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { makePrivateFolder } from "./private-folder.ts"
import { makeSigners, type Signers } from "./signers.ts"

type AuditFileChanged = (file: string, failure: IdentityError | undefined) => void

/** Everything of a server that outlives its process. */
export interface ServerState {
  readonly store: SqliteStore
  /** That of the store, shown to the witness beside the keys. */
  readonly journal: AuthorityJournal
  readonly keys: KeyStore
  /** Where proofs are verified. It holds no process alive; dispose it after the store. */
  readonly crypto: CryptoThread
  /** The one way to a signature that anybody outside can ask for. */
  readonly signIntent: SignGuarded
  /** Makes the key of an issuing authority. */
  readonly makeSigner: Signers["make"]
  /** Of the nonces for DPoP proofs; the same for every server with this sealing key. */
  readonly dpopNonceKey: Secret
}

/**
 * Open what `assay init` made. @param auditFileChanged is told when a copy of the audit log cannot be written, and when it can again
 * @throws IdentityError `not-found` when it was not; `not-ready`, reason `store-set-back`, when the store is older than the key folder
 */
export async function openServerState(
  config: ServerConfig,
  sealingKey: Secret,
  log: Log,
  auditFileChanged: AuditFileChanged = () => undefined,
): Promise<ServerState> {
  await using stack = new AsyncDisposableStack()
  const auditFiles = { ...auditFilesOf(config), changed: auditFileChanged }
  const store = stack.use(await openSqliteStore({ path: config.storage.sqlite, mode: "open", auditFiles }))
  const crypto = stack.use(new CryptoThread())
  const { make: makeSigner, load, signIntent } = makeSigners(store, crypto)
  const keys = await openKeys(config, sealingKey, load)
  const witness = openWitness(config, sealingKey)
  await demandNewest(store.authorityJournal, witness)
  const witnessFailed = (err: unknown) =>
    log.error({ err }, "the witness beside the keys cannot be written; a store that is set back might not be noticed")
  const journal = makeWitnessedJournal(store.authorityJournal, witness, witnessFailed, systemClock)
  stack.move() // they are the caller's now; on a failure before this they are closed
  const dpopNonceKey = deriveSharedKey(sealingKey, "dpop nonce v1")
  return { store, journal, keys, crypto, signIntent, makeSigner, dpopNonceKey }
}

/**
 * Make store, root key and trust domain, and the folders that are missing for them. Where there is a trust domain, nothing is
 * made; after a failure or a crash at any step, the next call starts over with what is there.
 * @param sealingKey is called once it is known that there is no trust domain yet @throws IdentityError `already-exists`
 * @see CFG-18 CFG-19
 */
export async function initServerState(
  config: ServerConfig,
  sealingKey: () => Promise<Secret>,
  clock: Clock,
  random: Random,
): Promise<void> {
  await makePrivateFolder(dirname(config.storage.sqlite), "storage.sqlite")
  await using store = await openSqliteStore({ path: config.storage.sqlite, mode: "create" })
  const key = await sealingKey()
  await makePrivateFolder(config.keys.directory, "keys.directory")
  const keys = await openKeys(config, key)
  const witness = openWitness(config, key)
  await demandUnwitnessed(witness)
  const { commonName, organization } = config.root
  await createTrustDomain(
    {
      trustDomain: config.trustDomain,
      algorithm: config.keys.algorithm,
      rootTtl: config.root.ttl,
      subject: { commonName, organization },
      backdate: ROOT_BACKDATE,
    },
    {
      journal: makeWitnessedJournal(store.authorityJournal, witness, raise, clock),
      audit: store.auditLog,
      chain: store.auditChain,
      keys,
      clock,
      random,
    },
  )
}

/** @throws IdentityError `already-exists` @see STO-32 */
async function demandUnwitnessed(witness: AuthorityWitness): Promise<void> {
  const record = await witness.read()
  if (record === undefined) return
  throw new IdentityError("already-exists", `the key folder is that of trust domain ${record.trustDomain}`, {
    reason: "store-lost",
    next: "if its store is lost, run assay restore; for a new trust domain, name another folder",
  })
}

export function openWitness({ keys: { directory } }: ServerConfig, sealingKey: Secret): AuthorityWitness {
  return openDiskWitness({ directory, sealingKey, encode: encodeAuthority, parse: parseAuthority })
}

function raise(thrown: unknown): never {
  throw thrown
}

export async function openKeys(config: ServerConfig, sealingKey: Secret, load?: Signers["load"]): Promise<KeyStore> {
  const crypto = await chooseCryptoProvider(config.keys.cryptoProvider)
  const software = makeSoftwareKeys(load === undefined ? { crypto } : { crypto, load })
  return openDiskKeys({ directory: config.keys.directory, sealingKey, software })
}

function auditFilesOf({ audit, trustDomain }: ServerConfig) {
  return { files: audit.sinks.map(({ file }) => file), trustDomain, patience: AUDIT_PATIENCE }
}

/** Longer than a disk that is well ever takes, shorter than a caller waits. */
const AUDIT_PATIENCE = 5000
/** A root starts well before anything it signs. */
export const ROOT_BACKDATE = 3600
