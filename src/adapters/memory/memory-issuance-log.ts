import type { AuditEvent } from "../../core/audit/event.ts"
import { authorityReplaced } from "../../core/authority/authority-replaced.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import type {
  Intent,
  IntentGuards,
  IntentResult,
  IssuanceLog,
  IssuanceQuery,
  LoggedIssuance,
  Requester,
} from "../../ports/issuance-log.ts"
import { MemoryLineages } from "./memory-lineages.ts"
import type { FaultyWrite } from "./memory-store.ts"

/** @see MemoryStore */
export class MemoryIssuanceLog implements IssuanceLog {
  readonly #intents = new Map<string, Intent>()
  readonly #signatures = new Map<string, Uint8Array>()
  readonly #lineages = new MemoryLineages((serial) => this.#intents.get(serial))
  readonly #faulty: FaultyWrite
  readonly #audit: (event: AuditEvent) => void
  readonly #banHead: () => number
  readonly #emergencyEpochs: () => AuthorityRecord["emergencyEpochs"]

  constructor(
    faulty: FaultyWrite,
    audit: (event: AuditEvent) => void,
    banHead: () => number,
    emergencyEpochs: () => AuthorityRecord["emergencyEpochs"],
  ) {
    this.#faulty = faulty
    this.#audit = audit
    this.#banHead = banHead
    this.#emergencyEpochs = emergencyEpochs
  }

  async recordIntent(
    intent: Intent,
    decision: AuditEvent,
    reuseSince: Instant,
    guards: IntentGuards,
  ): Promise<IntentResult> {
    if (guards.bansSeen !== this.#banHead()) {
      throw new IdentityError("conflict", "a ban was added or lifted meanwhile", { reason: "bans-changed" })
    }
    const emergencyEpoch = this.#emergencyEpochs()?.[intent.kind] ?? 0
    if (intent.epoch < emergencyEpoch) throw authorityReplaced()
    const earlier = this.#reusable(intent.idempotencyKey, reuseSince, emergencyEpoch)
    if (earlier !== undefined) return earlier
    if (this.#intents.has(intent.serial)) throw new IdentityError("already-exists", "serial was used before")
    if (this.#intents.size >= MAX_INTENTS) throw new IdentityError("not-ready", "memory store is full")
    const { renewal } = guards
    const judged = renewal === undefined ? undefined : this.#lineages.judge(intent, renewal, decision)
    if (judged?.kind === "refused") {
      this.#faulty("intent", () => {
        this.#audit(judged.event)
        judged.write()
      })
      throw judged.error
    }
    return this.#faulty("intent", () => {
      this.#audit(decision)
      this.#intents.set(intent.serial, intent)
      judged?.write()
      return { kind: "recorded" }
    })
  }

  recordOutcome(serial: string, signature: Uint8Array): void {
    if (!this.#intents.has(serial) || this.#signatures.has(serial)) return
    try {
      this.#faulty("outcome", () => this.#signatures.set(serial, signature))
    } catch {
      // Written behind: nobody waits for it, and the intent stands for the issuance.
    }
  }

  async flush(): Promise<void> {}

  /** Every intent, oldest first. */
  intents(): Iterable<Intent> {
    return this.#intents.values()
  }

  async search(query: IssuanceQuery): Promise<readonly LoggedIssuance[]> {
    if (!Number.isInteger(query.limit) || query.limit < 1 || query.limit > 1001) {
      throw new IdentityError("malformed", "limit is not 1 to 1001")
    }
    return [...this.#intents.values()]
      .filter((intent) => matches(intent, query))
      .slice(-query.limit)
      .reverse()
      .map((intent) => ({ intent, signature: this.#signatures.get(intent.serial) }))
  }

  async findRequester(serial: string): Promise<Requester | undefined> {
    return this.#intents.get(serial)?.requester
  }

  #reusable(key: Uint8Array | undefined, since: Instant, epoch: number): IntentResult | undefined {
    if (key === undefined) return undefined
    for (const intent of [...this.#intents.values()].reverse()) {
      const signature = this.#signatures.get(intent.serial)
      if (signature === undefined || intent.createdAt < since || intent.idempotencyKey === undefined) continue
      if (intent.epoch < epoch) continue
      if (Buffer.compare(intent.idempotencyKey, key) === 0) return { kind: "already-issued", intent, signature }
    }
    return undefined
  }
}

function matches(intent: Intent, query: IssuanceQuery): boolean {
  return (
    equals(query.spiffeId, intent.spiffeId) &&
    equals(query.serial, intent.serial) &&
    equals(query.kind, intent.kind) &&
    equals(query.cluster, intent.requester.cluster) &&
    equals(query.namespace, intent.requester.namespace) &&
    equals(query.pod, intent.requester.pod) &&
    equals(query.podUid, intent.requester.podUid) &&
    intent.notAfter > (query.unexpiredAt ?? 0) &&
    intent.createdAt >= (query.since ?? 0)
  )
}

function equals(wanted: string | undefined, found: string): boolean {
  return wanted === undefined || wanted === found
}

const MAX_INTENTS = 100_000
