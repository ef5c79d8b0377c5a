import { z } from "zod"
import type { CountNamed, NamedCount } from "../../app/ban/count-named.ts"
import type { AddBan, LiftBan, ListBans } from "../../app/ban/manage-bans.ts"
import { callerText } from "../../core/admin/caller.ts"
import type { AdminScope } from "../../core/admin/decide-admin.ts"
import { BAN_KINDS, type BanTarget, banName, parseBanTarget, type RecordedBan } from "../../core/ban/ban.ts"
import type { IdPattern } from "../../core/rules/id-pattern.ts"
import { type SpiffeId, type TrustDomain, trustDomainOf } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import { defineContract, instant, queryCount } from "./contract.ts"
import { type AdminCall, bindOperation, type Operation } from "./operation.ts"

const kind = () => z.enum(BAN_KINDS)
const target = {
  kind: kind(),
  name: z
    .string()
    .min(1)
    .max(2048)
    .describe("SPIFFE ID; <cluster>; <cluster>/<namespace or node>; pod UID; SHA-256 of a public key in hex."),
}
const reason = () => z.string().min(1).max(1024).describe("For people; recorded.")
const ban = z.strictObject({
  kind: kind(),
  name: z.string(),
  reason: z.string(),
  actor: z.string(),
  created_at: instant(),
  until: instant().optional().describe("Absent: until it is lifted."),
})

export const bansList = defineContract({
  name: "bans.list",
  verb: "bans",
  method: "GET",
  path: "/bans",
  summary: "Show the bans that are in force, oldest first",
  request: z.strictObject({
    kind: kind().optional(),
    limit: queryCount({ min: 1, max: 10_000 }).prefault("1000").describe("At most so many, 1 to 10000. Default 1000."),
  }),
  response: z.strictObject({ now: instant(), total: z.int(), bans: z.array(ban) }),
})

export const bansAdd = defineContract({
  name: "bans.add",
  verb: "bans",
  method: "POST",
  path: "/bans",
  summary: "Issue nothing any more to whom this names, end their streams, and take their tokens for dead",
  destructive: true,
  request: z.strictObject({
    ...target,
    reason: reason(),
    ttl: z.int().min(1).max(315_360_000).optional().describe("Seconds. Absent: until it is lifted."),
  }),
  response: z.strictObject({
    now: instant(),
    changed: z.boolean().describe("False for a dry run."),
    ban: ban.optional().describe("As it is in force now; absent: there is none."),
    streams: z
      .int()
      .optional()
      .describe(
        "Live streams of whom it names, just before; of a key, of who holds it. Absent when that is not known.",
      ),
    late: z
      .int()
      .optional()
      .describe(
        "Those that did not act upon the ban within a second; 0 for a dry run. Absent while it is not known whose.",
      ),
    holders: z
      .int()
      .optional()
      .describe("Who holds certificates that have not expired. Absent when that is not known."),
    holds_until: instant().optional().describe("When the last of those certificates expires."),
    warning: z.string().optional().describe("Why the ban reaches less than its name says. Absent: it does not."),
  }),
})

export const bansLift = defineContract({
  name: "bans.lift",
  verb: "bans",
  method: "POST",
  path: "/bans/lift",
  summary: "Let whom this names have identities again",
  request: z.strictObject({ ...target, reason: reason() }),
  response: z.strictObject({ now: instant(), kind: kind(), name: z.string() }),
})

export const BAN_CONTRACTS = [bansList, bansAdd, bansLift] as const

export interface BanUses {
  readonly list: ListBans
  readonly find: (target: BanTarget) => RecordedBan | undefined
  readonly countNamed: CountNamed
  /** Streams that do not act upon a ban after a second; `undefined`: it is not known whose. */
  readonly countLate: (recorded: RecordedBan) => Promise<number | undefined>
  readonly add: AddBan
  readonly lift: LiftBan
  readonly now: () => Instant
  /** Whose identities this server issues. */
  readonly trustDomain: TrustDomain
}

/** @see BAN-14 */
export function banOperations(uses: BanUses): readonly Operation[] {
  const named = { scope: (request: Named) => scopeOf(targetOf(request)), target: nameOf }
  return [
    bindOperation(bansList, {
      scope: () => ({ kind: "trust-domain" }),
      handle: async ({ kind: wanted, limit }) => {
        const found = uses.list().filter(({ ban: one }) => wanted === undefined || one.target.kind === wanted)
        return { now: uses.now(), total: found.length, bans: found.slice(0, limit).map(banReply) }
      },
    }),
    bindOperation(bansAdd, {
      ...named,
      handle: async ({ ttl, ...request }, call) => {
        const order = orderOf(request, call)
        const add = async () => (call.dryRun ? uses.find(order.target) : uses.add(order, ttl))
        const [named, inForce] = await Promise.all([uses.countNamed(order.target), add()])
        const late = call.dryRun || inForce === undefined ? 0 : await uses.countLate(inForce)
        const counts = countsReply(named, late)
        const warning = foreignWarning(order.target, uses.trustDomain)
        return { now: uses.now(), changed: !call.dryRun, ...counts, ...maybeBan(inForce), ...warning }
      },
    }),
    bindOperation(bansLift, {
      ...named,
      handle: async (request, call) => {
        await uses.lift(orderOf(request, call))
        return { now: uses.now(), kind: request.kind, name: request.name }
      },
    }),
  ]
}

interface Named {
  readonly kind: BanTarget["kind"]
  readonly name: string
}

function targetOf({ kind: ofKind, name }: Named): BanTarget {
  return parseBanTarget(ofKind, name)
}

function nameOf({ kind: ofKind, name }: Named): string {
  return `${ofKind} ${name}`
}

/** A ban by identity is about that one; all others may be about anybody. */
function scopeOf(wanted: BanTarget): AdminScope {
  if (wanted.kind === "identity") return { kind: "ids", patterns: [{ kind: "exact", id: wanted.id }] }
  return wanted.kind === "prefix" ? { kind: "ids", patterns: patternsOf(wanted.prefix) } : { kind: "trust-domain" }
}

/** A trust domain alone names no workload itself. */
function patternsOf(prefix: SpiffeId): readonly IdPattern[] {
  return [
    { kind: "exact", id: prefix },
    { kind: "below", prefix },
  ]
}

function orderOf(request: Named & { readonly reason: string }, { caller, requestId }: AdminCall) {
  return { target: targetOf(request), reason: request.reason, actor: callerText(caller), requestId }
}

function banReply({ ban: { target: named, reason: why, actor, createdAt, until } }: RecordedBan) {
  return {
    kind: named.kind,
    name: banName(named),
    reason: why,
    actor,
    created_at: createdAt,
    ...(until === undefined ? {} : { until }),
  }
}

function maybeBan(recorded: RecordedBan | undefined) {
  return recorded === undefined ? {} : { ban: banReply(recorded) }
}

/** Who is certified elsewhere loses nothing by our refusal to issue. @see BAN-18 */
function foreignWarning(wanted: BanTarget, own: TrustDomain): { readonly warning?: string } {
  const id = wanted.kind === "identity" ? wanted.id : wanted.kind === "prefix" ? wanted.prefix : undefined
  const foreign = id === undefined ? own : trustDomainOf(id)
  if (foreign === own) return {}
  const warning =
    `this server issues for ${own}: workloads of ${foreign} get no tokens here any more, and keep certificates, streams ` +
    `and tokens of their own trust domain; ban them there, too`
  return { warning }
}

function countsReply({ streams, holders }: NamedCount, late: number | undefined) {
  return {
    ...(streams === undefined ? {} : { streams }),
    ...(late === undefined ? {} : { late }),
    ...(holders === undefined ? {} : { holders: holders.holders }),
    ...(holders?.lastExpiry === undefined ? {} : { holds_until: holders.lastExpiry }),
  }
}
