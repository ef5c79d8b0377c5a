import type { AuditEvent } from "../../core/audit/event.ts"
import type { IdentityError } from "../../core/errors.ts"
import type { Instant } from "../../core/time.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"

type RefusalEvent = AuditEvent & { readonly type: "login.refused" | "admin.refused" | "stream.refused" }
type WithoutCount<E> = E extends unknown ? Omit<E, "at" | "since" | "count"> : never

/** Who was not let in, what an operator may not do, or a stream of the banned: an event but for how many it stands for. */
export type Refused = WithoutCount<RefusalEvent>

/**
 * Refusals on their way to the audit log, so that nobody fills it by being refused. The first of its kind is recorded at once; those
 * that follow are counted, and recorded as one at the end of the {@link REFUSAL_INTERVAL}. @see ADM-26 ADM-27 BAN-06
 */
export interface RecordRefusals {
  /** Nobody waits for it, and it never throws. */
  login(refused: Refused & { readonly type: "login.refused" }): void
  /** Nobody waits for it, and it never throws. */
  stream(refused: Refused & { readonly type: "stream.refused" }): void
  /** Durable when it resolves, or counted. @throws IdentityError `not-ready` when the outcome is unknown */
  operation(refused: Refused & { readonly type: "admin.refused" }): Promise<void>
  /** Records what was counted: at each interval, and when `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

export interface RecordRefusalsDeps {
  readonly audit: AuditLog
  readonly clock: Clock
  /** What could not be recorded stays counted. */
  readonly failed: (thrown: unknown) => void
}

export function makeRecordRefusals(deps: RecordRefusalsDeps): RecordRefusals {
  // Apart, so that whoever proves nothing cannot take the rows of those who are known.
  const [logins, operations] = [new RefusalTable(deps, MAX_SENDERS), new RefusalTable(deps, MAX_SENDERS)]
  const streams = new RefusalTable(deps, MAX_STREAM_CALLERS)
  return {
    login: (refused) => void logins.add(refused).catch(deps.failed),
    stream: (refused) => void streams.add(refused).catch(deps.failed),
    operation: (refused) => operations.add(refused),
    run: async (signal) => {
      while (!signal.aborted) {
        await deps.clock.sleep(REFUSAL_INTERVAL, signal)
        for (const table of [logins, operations, streams]) await table.flush().catch(deps.failed)
      }
    },
  }
}

interface Row {
  readonly newest: Refused
  /** When the first of them was refused that is not recorded yet. */
  readonly since: Instant
  /** Of those that are not recorded yet. */
  readonly count: number
}

class RefusalTable {
  readonly #audit: AuditLog
  readonly #clock: Clock
  readonly #maxRows: number
  readonly #rows = new Map<string, Row>()

  /** @param maxRows how many have a row of their own; all others share one */
  constructor({ audit, clock }: RecordRefusalsDeps, maxRows: number) {
    this.#audit = audit
    this.#clock = clock
    this.#maxRows = maxRows
  }

  /** @throws IdentityError `not-ready`; it is counted then */
  async add(refused: Refused): Promise<void> {
    const now = this.#clock.now()
    const isNew = !this.#rows.has(this.#placeOf(refused))
    const [key, row] = this.#count({ newest: refused, since: now, count: isNew ? 0 : 1 })
    if (!isNew) return
    try {
      await this.#append({ ...row, count: 1 })
    } catch (thrown) {
      this.#count({ ...row, count: 1 }, key)
      throw thrown
    }
  }

  /** @throws IdentityError `not-ready`; what was not recorded is counted on */
  async flush(): Promise<void> {
    const counted = [...this.#rows.values()].filter(({ count }) => count > 0)
    this.#rows.clear()
    for (let from = 0; from < counted.length; from += BATCH) {
      const batch = counted.slice(from, from + BATCH)
      const outcomes = await Promise.allSettled(batch.map((row) => this.#append(row)))
      const failed = outcomes.find(({ status }) => status === "rejected")
      if (failed?.status !== "rejected") continue
      for (const [i, row] of batch.entries()) if (outcomes[i]?.status === "rejected") this.#count(row)
      for (const row of counted.slice(from + BATCH)) this.#count(row)
      throw failed.reason
    }
  }

  /** Its own row while there is room, else the one of all others. */
  #placeOf(refused: Refused): string {
    const own = keyOf(refused)
    return this.#rows.has(own) || this.#rows.size < this.#maxRows ? own : OTHERS
  }

  #count(row: Row, key = this.#placeOf(row.newest)): readonly [string, Row] {
    const known = this.#rows.get(key)
    const newest = key === OTHERS ? nameless(row.newest) : row.newest
    const isCounting = known !== undefined && known.count > 0
    const next = { newest, since: isCounting ? known.since : row.since, count: (known?.count ?? 0) + row.count }
    this.#rows.set(key, next)
    return [key, next]
  }

  #append({ newest, since, count }: Row): Promise<void> {
    return this.#audit.append({ ...newest, at: this.#clock.now(), since, count })
  }
}

/** What whoever is refused can vary at will has no part in it where he is not known. */
function keyOf(refused: Refused): string {
  return JSON.stringify([refused.actor, refused.reason, ...aboutOf(refused)])
}

function aboutOf(refused: Refused): readonly string[] {
  switch (refused.type) {
    case "login.refused":
      return [refused.source]
    case "admin.refused":
      return [refused.operation, refused.target]
    case "stream.refused":
      return []
    default:
      return refused satisfies never
  }
}

function nameless(refused: Refused): Refused {
  if (refused.type === "login.refused") return { ...refused, actor: "unknown", source: OTHERS }
  return refused.type === "admin.refused" ? { ...refused, actor: OTHERS, target: "" } : { ...refused, actor: OTHERS }
}

/** Whether an error says that the sender is not let in; all else is nobody's decision about him. @see AUD-03 */
export function isLoginRefusal({ code }: IdentityError): boolean {
  return code === "unauthenticated" || code === "policy-denied"
}

/** Milliseconds. */
export const REFUSAL_INTERVAL = 600_000
const MAX_SENDERS = 64
/** They are attested, so nobody can be more of them than he has pods. */
const MAX_STREAM_CALLERS = 10_000
/** Records that are on their way at once when what was counted is recorded. */
const BATCH = 64
const OTHERS = "others"
