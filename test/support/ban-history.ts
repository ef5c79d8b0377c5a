import assert from "node:assert/strict"
import type { SqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { type BanView, openBanView } from "../../src/app/ban/ban-view.ts"
import { guardBans } from "../../src/app/ban/guard-bans.ts"
import { type BanTarget, banName, parseBanTarget } from "../../src/core/ban/ban.ts"
import { namedBy } from "../../src/core/ban/ban-index.ts"
import { IdentityError, toIdentityError } from "../../src/core/errors.ts"
import { parseWorkloadId, type SpiffeId } from "../../src/core/spiffe/id.ts"
import type { BanLog } from "../../src/ports/bans.ts"
import type { SignGuarded, SignIntent } from "../../src/ports/intent-signer.ts"
import type { Signer } from "../../src/ports/keys.ts"
import { banishing } from "./ban-order.ts"
import { FakeClock } from "./fake-clock.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent } from "./issuance-fixtures.ts"
import type { Call, SequentialModel } from "./linearize.ts"

/** Two identities, and all by which this round bans them. Nobody else uses their names, so at first nobody is banned. */
export interface BanWorld {
  readonly ids: readonly SpiffeId[]
  readonly targets: readonly BanTarget[]
}

export type BanInput =
  | { readonly kind: "ban" | "lift"; readonly target: BanTarget }
  /** `hearsay`: asked of a replica that learns of a lift later, and may until then refuse who was banned once. */
  | { readonly kind: "issue"; readonly id: SpiffeId; readonly hearsay: boolean }
export type BanOutput = "done" | "not-banned" | "issued" | "banned"
export type BanCall = Call<BanInput, BanOutput>

/** Which targets are banned, and which ever were; a bit for each. */
interface Standing {
  readonly inForce: number
  readonly ever: number
}

export function banWorld(round: string): BanWorld {
  const prefix = `spiffe://prod.example/${round}`
  return {
    ids: ["a", "b"].map((name) => parseWorkloadId(`${prefix}/${name}`)),
    targets: [
      parseBanTarget("identity", `${prefix}/a`),
      parseBanTarget("identity", `${prefix}/b`),
      parseBanTarget("prefix", prefix),
    ],
  }
}

/** What bans do, one call after the other. */
export function banModel({ targets }: BanWorld): SequentialModel<Standing, BanInput, BanOutput> {
  const bitOf = (target: BanTarget) => 1 << targets.indexOf(target)
  const bitsOn = (id: SpiffeId) =>
    targets.reduce((bits, one) => (namedBy(one)({ ids: [id], places: [], keys: [] }) ? bits | bitOf(one) : bits), 0)
  return {
    initial: { inForce: 0, ever: 0 },
    next: (state, input, output) => {
      const { inForce, ever } = state
      if (input.kind === "issue") {
        if (output === "issued") return (inForce & bitsOn(input.id)) === 0 ? state : undefined
        return ((input.hearsay ? ever : inForce) & bitsOn(input.id)) !== 0 ? state : undefined
      }
      const bit = bitOf(input.target)
      if (input.kind === "ban") return { inForce: inForce | bit, ever: ever | bit }
      const isBanned = (inForce & bit) !== 0
      if (output === "not-banned") return isBanned ? undefined : state
      return isBanned ? { inForce: inForce & ~bit, ever } : undefined
    },
    keyOf: ({ inForce, ever }) => `${inForce} ${ever}`,
  }
}

/** Calls in the order in which they ended. One counter is the clock: all clients are in one process. */
export class BanHistory {
  readonly calls: BanCall[] = []
  #time = 0

  /** @param act resolves to `undefined` when nobody can know what became of it */
  async record(client: string, input: BanInput, act: () => Promise<BanOutput | undefined>): Promise<void> {
    const begun = ++this.#time
    const output = await act()
    const ended = output === undefined ? Number.POSITIVE_INFINITY : ++this.#time
    // What became of a signature that failed changes nothing for anybody else.
    if (input.kind !== "issue" || output !== undefined) this.calls.push({ client, begun, ended, input, output })
  }
}

/** A server's part of it: what it knows of bans, and how it signs. */
export interface BanReplica {
  readonly bans: BanView
  readonly ban: (target: BanTarget) => Promise<BanOutput | undefined>
  readonly lift: (target: BanTarget) => Promise<BanOutput | undefined>
  readonly issue: (id: SpiffeId) => Promise<BanOutput | undefined>
}

/** How a replica keeps the banned out; what ships is {@link guardBans}. */
export type MakeGuard = (deps: {
  readonly sign: SignGuarded
  readonly bans: BanView
  readonly log: BanLog
}) => SignIntent

export interface ReplicaOptions {
  readonly store: SqliteStore
  /** In the store's thread. */
  readonly signer: Signer
  /** Of its bans and lifts; what it signs goes to the store itself. */
  readonly log?: BanLog
  readonly guard?: MakeGuard
}

export async function openBanReplica({ store, signer, log, guard }: ReplicaOptions): Promise<BanReplica> {
  const clock = new FakeClock(FIXTURE_NOW)
  const banLog = log ?? store.banLog
  const bans = await openBanView({ log: banLog, clock, steady: () => true, onReadFailed: assert.ifError })
  const { ban, lift } = banishing(bans, clock)
  const { signIntent: sign } = store.signing
  const audit = store.auditLog
  const signUnbanned =
    guard?.({ sign, bans, log: store.banLog }) ??
    guardBans({ sign, bans, audit, clock, events: { refused: () => undefined } })
  return {
    bans,
    ban: (target) => outcomeOf(ban(target.kind, banName(target)), "done"),
    lift: (target) => outcomeOf(lift(target.kind, banName(target)), "done"),
    issue: (id) => outcomeOf(signUnbanned(orderFor(id, signer)), "issued"),
  }
}

async function outcomeOf(done: Promise<unknown>, output: BanOutput): Promise<BanOutput | undefined> {
  try {
    await done
    return output
  } catch (thrown) {
    const { code, reason } = toIdentityError(thrown)
    if (reason === "ban-not-found") return "not-banned"
    if (reason === "banned") return "banned"
    if (code === "not-ready" || code === "conflict") return undefined
    throw thrown
  }
}

let serials = 0
function orderFor(id: SpiffeId, signer: Signer) {
  const serial = `h${++serials}`
  const intent = fixtureIntent(serial, { spiffeId: id })
  const subject = { ids: [id], places: [], keys: [] }
  return { intent, decision: fixtureGrant(serial), reuseSince: FIXTURE_NOW, subject, signer, form: "der" } as const
}

/** Now and then a write is lost, or kept while its caller hears of an error. @param random from 0 to 1 */
export function forgetfulLog(log: BanLog, random: () => number): BanLog {
  const failing = async (write: () => Promise<void>): Promise<void> => {
    const fate = random()
    if (fate >= LOST) await write()
    if (fate < LOST + KEPT) throw new IdentityError("not-ready", "told to fail", { retryAfter: 1 })
  }
  return {
    add: (...call) => failing(() => log.add(...call)),
    lift: (...call) => failing(() => log.lift(...call)),
    readAfter: (...call) => log.readAfter(...call),
  }
}

/** Repeatable numbers from 0 to 1: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const LOST = 0.1
const KEPT = 0.1
