import type { Look, RotationLook, ServerLook } from "../../core/doctor/facts.ts"
import type { Instant } from "../../core/time.ts"
import type { ResponseOf } from "../../transports/admin/contract.ts"
import { rotationStatus } from "../../transports/admin/rotation-contracts.ts"
import { statusShow } from "../../transports/admin/status-operations.ts"
import { type AdminOptions, askAdmin } from "../commands/admin-command.ts"
import { look } from "./look.ts"

/** Ask a running server. @param now of this machine */
export function lookAtServer(options: AdminOptions, now: () => Instant): Promise<Look<ServerLook>> {
  return look(async () => {
    const status = await askAdmin(statusShow, {}, options)
    const clockAhead = status.now - now()
    const rotations = await Promise.all(KINDS.map((kind) => askAdmin(rotationStatus, { kind }, options)))
    const { count, behind, refusing } = status.subscribers
    return {
      version: status.version,
      ready: status.ready,
      clockAhead,
      authorities: status.authorities.flatMap(authorityLook),
      subscribers: { count, behind, refusing },
      rotations: rotations.map(rotationLook),
    }
  })
}

function authorityLook(one: ResponseOf<typeof statusShow>["authorities"][number]): ServerLook["authorities"] {
  const { kind, id, state, not_before: notBefore, not_after: notAfter } = one
  if (kind === "jwt" || notBefore === undefined || notAfter === undefined) return []
  return [{ kind, id, state, notBefore, notAfter }]
}

function rotationLook(one: ResponseOf<typeof rotationStatus>): RotationLook {
  const { kind, phase, since, paused = false, stopped, late_count: late, until } = one
  return { kind, phase, since, paused, stopped, late, until }
}

const KINDS = ["x509", "jwt"] as const
