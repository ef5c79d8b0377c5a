import { once } from "node:events"
import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import type { BanTarget } from "../../core/ban/ban.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditFound, AuditQuery } from "../../ports/audit-log.ts"
import type {
  HolderCount,
  HolderCounter,
  Holdings,
  HoldingsReader,
  KeyHolder,
  KeyHolderReader,
} from "../../ports/consumers.ts"
import type { IssuanceQuery, LoggedIssuance, Requester } from "../../ports/issuance-log.ts"
import { parseIssuance, parseRequester } from "./intent-row.ts"
import { type Failure, parseFailure } from "./operation.ts"
import type { CertificateQuestion } from "./read-certificates.ts"
import { parseHoldings } from "./read-holdings.ts"
import { parseKeyHolder } from "./read-key-holders.ts"
import { type RowParts, readParts } from "./row-parts.ts"
import { MAX_RECORDS } from "./search-audit.ts"
import { demandLimit, MAX_ISSUANCES } from "./search-issuances.ts"
import type { SqlRow } from "./sql-row.ts"

export type ReaderRequest =
  | { readonly kind: "search"; readonly query: IssuanceQuery }
  | { readonly kind: "holdings"; readonly now: Instant }
  | { readonly kind: "key-holders"; readonly keys: readonly string[]; readonly now: Instant }
  | { readonly kind: "certificates"; readonly asked: readonly CertificateQuestion[] }
  | { readonly kind: "count-holders"; readonly target: BanTarget; readonly now: Instant }
  | { readonly kind: "requesters"; readonly serials: readonly string[] }
  | { readonly kind: "audit"; readonly query: AuditQuery }
  | { readonly kind: "close" }

export type ReaderReply =
  | { readonly kind: "ready" }
  | { readonly kind: "rows"; readonly rows: readonly SqlRow[] }
  /** `held`: see {@link readParts}. */
  | { readonly kind: "holdings"; readonly held: RowParts; readonly tokens: readonly SqlRow[] }
  | { readonly kind: "certificates"; readonly held: readonly boolean[] }
  | { readonly kind: "count-holders"; readonly count: HolderCount }
  | { readonly kind: "requesters"; readonly rows: readonly (SqlRow | undefined)[] }
  | { readonly kind: "audit"; readonly found: AuditFound }
  | { readonly kind: "failed"; readonly failure: Failure }

/** Searches a store that another connection, perhaps of another process, writes. */
export interface IssuanceReader extends HoldingsReader, HolderCounter, KeyHolderReader, AsyncDisposable {
  /** @throws IdentityError `malformed` for a bad limit, `rate-limited` when 64 searches wait, `not-ready` */
  search(query: IssuanceQuery): Promise<readonly LoggedIssuance[]>
  /** @throws IdentityError as {@link search} */
  searchAudit(query: AuditQuery): Promise<AuditFound>
  /** Whether each of the pods has one, in order. @throws IdentityError as {@link search} */
  readCertificates(asked: readonly CertificateQuestion[]): Promise<readonly boolean[]>
  /** Who asked for each of them, in order. @throws IdentityError as {@link search} */
  findRequesters(serials: readonly string[]): Promise<readonly (Requester | undefined)[]>
}

/** @throws IdentityError `not-found` when there is no store at `path` */
export async function openIssuanceReader(options: { readonly path: string }): Promise<IssuanceReader> {
  const url = new URL(`./reader-worker${extname(import.meta.filename)}`, import.meta.url)
  const worker = new Worker(url, { workerData: options.path })
  const [first]: ReaderReply[] = await once(worker, "message")
  if (first?.kind === "ready") return new ReaderThread(worker)
  await worker.terminate()
  if (first?.kind === "failed") throw parseFailure(first.failure)
  throw new TypeError("reader thread did not start")
}

class ReaderThread implements IssuanceReader {
  readonly #worker: Worker
  readonly #waiting: ((reply: ReaderReply | IdentityError) => void)[] = []
  #failure: IdentityError | undefined

  constructor(worker: Worker) {
    this.#worker = worker
    worker.on("message", (reply: ReaderReply) => this.#waiting.shift()?.(reply))
    worker.on("error", (cause) => this.#die(cause))
    worker.on("exit", () => this.#die(undefined))
  }

  async search(query: IssuanceQuery): Promise<readonly LoggedIssuance[]> {
    demandLimit(query.limit, MAX_ISSUANCES)
    const reply = await this.#ask({ kind: "search", query })
    return reply.kind === "rows" ? reply.rows.map(parseIssuance) : []
  }

  async searchAudit(query: AuditQuery): Promise<AuditFound> {
    demandLimit(query.limit, MAX_RECORDS)
    const reply = await this.#ask({ kind: "audit", query })
    return reply.kind === "audit" ? reply.found : { records: [], lookedFrom: 1 }
  }

  async readHoldings(now: Instant): Promise<Holdings> {
    const reply = await this.#ask({ kind: "holdings", now })
    if (reply.kind !== "holdings") return { held: [], lastTokens: new Map() }
    return await parseHoldings(readParts(reply.held), reply.tokens)
  }

  async readCertificates(asked: readonly CertificateQuestion[]): Promise<readonly boolean[]> {
    const reply = await this.#ask({ kind: "certificates", asked })
    return reply.kind === "certificates" ? reply.held : []
  }

  async countHolders(target: BanTarget, now: Instant): Promise<HolderCount> {
    const reply = await this.#ask({ kind: "count-holders", target, now })
    return reply.kind === "count-holders" ? reply.count : { holders: 0, lastExpiry: undefined }
  }

  async readKeyHolders(keys: readonly string[], now: Instant): Promise<readonly KeyHolder[]> {
    const reply = await this.#ask({ kind: "key-holders", keys, now })
    return reply.kind === "rows" ? reply.rows.map(parseKeyHolder) : []
  }

  async findRequesters(serials: readonly string[]): Promise<readonly (Requester | undefined)[]> {
    const reply = await this.#ask({ kind: "requesters", serials })
    return reply.kind === "requesters" ? reply.rows.map((row) => row && parseRequester(row)) : []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== undefined) return
    const exited = once(this.#worker, "exit")
    this.#worker.postMessage({ kind: "close" } satisfies ReaderRequest)
    await exited
  }

  async #ask(request: ReaderRequest): Promise<ReaderReply> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#waiting.length >= MAX_WAITING) {
      throw new IdentityError("rate-limited", "too many searches are waiting", { retryAfter: 1 })
    }
    const reply = await new Promise<ReaderReply | IdentityError>((resolve) => {
      this.#waiting.push(resolve)
      this.#worker.postMessage(request)
    })
    if (reply instanceof IdentityError) throw reply
    if (reply.kind === "failed") throw parseFailure(reply.failure)
    return reply
  }

  #die(cause: unknown): void {
    this.#failure ??= new IdentityError("not-ready", "store is closed", { cause, reason: "store-dead" })
    for (const settle of this.#waiting.splice(0)) settle(this.#failure)
  }
}

const MAX_WAITING = 64
