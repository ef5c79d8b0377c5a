import { type ErrorCode, type IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditChain, AuditLog, AuditSearch } from "../../ports/audit-log.ts"
import type { AuthorityJournal } from "../../ports/authority-journal.ts"
import type { BanLog } from "../../ports/bans.ts"
import type {
  CertificateReader,
  ConsumerLog,
  HolderCounter,
  HoldingsReader,
  KeyHolderReader,
} from "../../ports/consumers.ts"
import type { FederatedBundles } from "../../ports/federated-bundles.ts"
import type { IssuanceLog, Requester } from "../../ports/issuance-log.ts"
import type { ProposalLog } from "../../ports/proposals.ts"
import type { ReplayLog } from "../../ports/replay-log.ts"
import type { RevocationLog } from "../../ports/revocations.ts"
import { type AuditFiles, AuditFollowers } from "./audit-followers.ts"
import { encodeAudit } from "./audit-row.ts"
import { CommitQueue } from "./commit-queue.ts"
import { type IssuanceReader, openIssuanceReader } from "./issuance-reader.ts"
import type { OpenMode } from "./open-database.ts"
import type { Pruned } from "./operation.ts"
import { QuestionBatch } from "./question-batch.ts"
import type { CertificateQuestion } from "./read-certificates.ts"
import { SqliteAuditChain } from "./sqlite-audit-chain.ts"
import { SqliteAuthorityJournal } from "./sqlite-authority-journal.ts"
import { SqliteBanLog } from "./sqlite-ban-log.ts"
import { SqliteConsumerLog } from "./sqlite-consumer-log.ts"
import { SqliteFederatedBundles } from "./sqlite-federated-bundles.ts"
import { SqliteIssuanceLog } from "./sqlite-issuance-log.ts"
import { SqliteProposalLog } from "./sqlite-proposal-log.ts"
import { SqliteReplayLog } from "./sqlite-replay-log.ts"
import { SqliteRevocationLog } from "./sqlite-revocation-log.ts"
import { makeStoreSigning, type StoreSigning } from "./sqlite-signing.ts"
import { StoreThread } from "./store-thread.ts"

export interface SqliteStoreOptions {
  readonly path: string
  readonly mode: OpenMode
  /** Files that hold every audit record before anybody hears of what it is about. Default: none. @see AUD-30 */
  readonly auditFiles?: AuditFiles
}

/**
 * One SQLite file with everything a server must not forget. Trusting it means: whoever can write the file can make the log
 * and the authorities say anything, but cannot sign.
 */
export interface SqliteStore extends AsyncDisposable {
  readonly issuanceLog: IssuanceLog
  readonly auditLog: AuditLog
  readonly auditChain: AuditChain
  readonly auditSearch: AuditSearch
  readonly authorityJournal: AuthorityJournal
  readonly replayLog: ReplayLog
  readonly revocationLog: RevocationLog
  readonly consumerLog: ConsumerLog
  readonly holdings: HoldingsReader & HolderCounter & KeyHolderReader & CertificateReader
  readonly signing: StoreSigning
  readonly banLog: BanLog
  readonly proposalLog: ProposalLog
  readonly federatedBundles: FederatedBundles
  /**
   * Why nothing is written now: the thread has ended, which only a new process mends; it does not answer, or cannot write; or no
   * audit file can be written, all of which may pass. `undefined` while all is well.
   */
  readonly failure: IdentityError | undefined
  /** The first of these: nothing will be written by this process any more. */
  readonly dead: IdentityError | undefined
  /** Look at the next `batch` (1 to 10,000) intents, and forget those that expired before `before`, oldest first. Audit events stay. */
  prune(before: Instant, batch: number): Promise<Pruned>
  /** Forget up to `batch` (1 to 10,000) spent proofs, and as many revocations, that ended before `before`. The larger count. */
  pruneProofs(before: Instant, batch: number): Promise<Pruned>
  /** Forget up to `batch` (1 to 10,000) bans that ended before `before`. */
  pruneBans(before: Instant, batch: number): Promise<Pruned>
  /**
   * Look at the next `batch` (1 to 10,000) lineages, and forget those whose last certificate ended before `before`; those that are
   * broken, 90 days later.
   */
  pruneLineages(before: Instant, batch: number): Promise<Pruned>
}

/**
 * `create` makes a new store and refuses one that is there; `open` refuses one that is not. Waiting writes are committed
 * when it is disposed. @throws IdentityError `already-exists`; `not-found`; `not-ready` for a file that is not ours, is of a
 * later version, or whose file system cannot promise durable commits @see STO-01..STO-05
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const { path, mode, auditFiles } = options
  await using stack = new AsyncDisposableStack()
  const thread = stack.use(await StoreThread.start({ path, mode }))
  const followers = auditFiles?.files.length ? await AuditFollowers.open(path, auditFiles) : undefined
  stack.move()
  return new Store(path, thread, followers)
}

class Store implements SqliteStore {
  readonly issuanceLog: IssuanceLog
  readonly auditLog: AuditLog
  readonly auditChain: AuditChain
  readonly auditSearch: AuditSearch
  readonly authorityJournal: AuthorityJournal
  readonly replayLog: ReplayLog
  readonly revocationLog: RevocationLog
  readonly consumerLog: ConsumerLog
  readonly holdings: HoldingsReader & HolderCounter & KeyHolderReader & CertificateReader
  readonly signing: StoreSigning
  readonly banLog: BanLog
  readonly proposalLog: ProposalLog
  readonly federatedBundles: FederatedBundles
  readonly #path: string
  readonly #thread: StoreThread
  readonly #followers: AuditFollowers | undefined
  readonly #queue: CommitQueue
  #reader: Promise<IssuanceReader> | undefined

  constructor(path: string, thread: StoreThread, followers: AuditFollowers | undefined) {
    this.#path = path
    this.#thread = thread
    this.#followers = followers
    const queue = new CommitQueue((jobs) => thread.run(jobs), followers)
    this.#queue = queue
    const requesters = new QuestionBatch<string, Requester | undefined>((serials) =>
      this.#read((reader) => reader.findRequesters(serials)),
    )
    this.issuanceLog = new SqliteIssuanceLog({
      queue,
      search: (query) => this.#read((reader) => reader.search(query)),
      findRequester: (serial) => requesters.put(serial),
    })
    this.auditLog = {
      append: async (event) => {
        await queue.submit({ kind: "audit", audit: encodeAudit(event) })
      },
    }
    this.auditChain = new SqliteAuditChain(queue)
    this.auditSearch = { search: (query) => this.#read((reader) => reader.searchAudit(query)) }
    this.authorityJournal = new SqliteAuthorityJournal(queue)
    this.replayLog = new SqliteReplayLog(queue)
    this.revocationLog = new SqliteRevocationLog(queue)
    this.consumerLog = new SqliteConsumerLog(queue)
    const certificates = new QuestionBatch<CertificateQuestion, boolean>((asked) =>
      this.#read((reader) => reader.readCertificates(asked)),
    )
    this.holdings = {
      readHoldings: (now) => this.#read((reader) => reader.readHoldings(now)),
      countHolders: (target, now) => this.#read((reader) => reader.countHolders(target, now)),
      readKeyHolders: (keys, now) => this.#read((reader) => reader.readKeyHolders(keys, now)),
      holdsCertificate: (pod, now) => certificates.put({ ...pod, now }),
    }
    this.signing = makeStoreSigning(queue)
    this.banLog = new SqliteBanLog(queue)
    this.proposalLog = new SqliteProposalLog(queue)
    this.federatedBundles = new SqliteFederatedBundles(queue)
  }

  get failure(): IdentityError | undefined {
    return this.#thread.failure ?? this.#queue.stalled ?? this.#queue.unwritable ?? this.#followers?.failure
  }

  get dead(): IdentityError | undefined {
    return this.#thread.failure
  }

  prune(before: Instant, batch: number): Promise<Pruned> {
    return this.#prune("prune", before, batch)
  }

  pruneProofs(before: Instant, batch: number): Promise<Pruned> {
    return this.#prune("prune-proofs", before, batch)
  }

  pruneBans(before: Instant, batch: number): Promise<Pruned> {
    return this.#prune("prune-bans", before, batch)
  }

  pruneLineages(before: Instant, batch: number): Promise<Pruned> {
    return this.#prune("prune-lineages", before, batch)
  }

  async #prune(kind: Pruning, before: Instant, batch: number): Promise<Pruned> {
    if (!Number.isInteger(batch) || batch < 1 || batch > MAX_PRUNE) throw new RangeError("batch is not 1 to 10000")
    const result = await this.#queue.submit({ kind, before, batch })
    if (result.kind !== "pruned") throw new TypeError("store: pruning came to something else")
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.flush().catch(() => {
      // Everybody who waits for a write was told; an outcome that is lost here loses no issuance.
    })
    if (this.#reader !== undefined) await closeReader(this.#reader)
    await this.#followers?.[Symbol.asyncDispose]()
    await this.#thread[Symbol.asyncDispose]()
  }

  async #read<Result>(ask: (reader: IssuanceReader) => Promise<Result>): Promise<Result> {
    this.#reader ??= openIssuanceReader({ path: this.#path })
    const opened = this.#reader
    try {
      return await ask(await opened)
    } catch (error) {
      if (this.#reader === opened && !ABOUT_THE_SEARCH.has(toIdentityError(error).code)) {
        this.#reader = undefined // the next search opens another one @see STO-08
        void closeReader(opened)
      }
      throw error
    }
  }
}

/** Once it has answered who waits. Never rejects: one that was not opened, or has ended, is closed. */
function closeReader(opened: Promise<IssuanceReader>): Promise<void> {
  return opened.then((reader) => reader[Symbol.asyncDispose]()).catch(() => undefined)
}

type Pruning = "prune" | "prune-proofs" | "prune-bans" | "prune-lineages"

/** They say nothing of the thread that searches. */
const ABOUT_THE_SEARCH: ReadonlySet<ErrorCode> = new Set(["malformed", "rate-limited"])
const MAX_PRUNE = 10_000
