import { type Ban, type BanTarget, banName, type RecordedBan } from "../../core/ban/ban.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Seconds } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { BanView } from "./ban-view.ts"
import type { BanEvents } from "./events.ts"

/** Who changes bans, and why. */
export interface BanOrder {
  readonly target: BanTarget
  /** For people and the audit log. 1 to 1024 characters, without control characters. */
  readonly reason: string
  /** Names who orders it in audit records. */
  readonly actor: string
  readonly requestId: string
}

/**
 * Nobody issues to `target` any more when it resolves, and live streams are being ended. Again for one that is banned, it ends at
 * the later of both times. @param ttl how long, at least a second; `undefined`: until it is lifted
 * @throws IdentityError `malformed`; `not-ready` when the outcome is unknown: say it again; `rate-limited`, reason `bans-full`
 * @see BAN-04 BAN-05
 */
export type AddBan = (order: BanOrder, ttl: Seconds | undefined) => Promise<RecordedBan>

/** `target` may have identities again when it resolves. @throws IdentityError `not-found`; `not-ready` @see BAN-11 */
export type LiftBan = (order: BanOrder) => Promise<void>

/** Bans that are in force, oldest first. */
export type ListBans = () => readonly RecordedBan[]

export interface ManageBansDeps {
  readonly bans: BanView
  readonly clock: Clock
  readonly events: Pick<BanEvents, "added" | "lifted">
}

export function makeAddBan({ bans, clock, events }: ManageBansDeps): AddBan {
  return async (order, ttl) => {
    const { target, actor, requestId } = order
    const reason = checkReason(order.reason)
    const now = clock.now()
    const until = ttl === undefined ? undefined : now + ttl
    const ban: Ban = { target, reason, actor, createdAt: now, until }
    const named = { ban: target.kind, name: banName(target), reason, until: until ?? 0 }
    await bans.add(ban, { type: "ban.added", at: now, actor, requestId, ...named })
    events.added(ban, requestId)
    return bans.find(target) ?? lifted()
  }
}

export function makeLiftBan({ bans, clock, events }: ManageBansDeps): LiftBan {
  return async (order) => {
    const { target, actor, requestId } = order
    const reason = checkReason(order.reason)
    const now = clock.now()
    const named = { ban: target.kind, name: banName(target), reason }
    await bans.lift(target, now, { type: "ban.lifted", at: now, actor, requestId, ...named })
    events.lifted(target, requestId)
  }
}

export function makeListBans({ bans }: Pick<ManageBansDeps, "bans">): ListBans {
  return () => [...bans.inForce()].sort((a, b) => a.ban.createdAt - b.ban.createdAt || a.sequence - b.sequence)
}

function checkReason(reason: string): string {
  if (REASON.test(reason)) return reason
  throw new IdentityError("malformed", "reason is not 1 to 1024 printable characters on one line")
}

function lifted(): never {
  throw new IdentityError("conflict", "the ban was lifted at the same time", { reason: "ban-lifted" })
}

const REASON = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,1024}$/u
