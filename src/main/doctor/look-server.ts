import type { RotationKind } from "../../core/authority/rotation-state.ts"
import type { FederatedLook, Look, RotationLook, ServerLook } from "../../core/doctor/facts.ts"
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
    const rotations = await look(() => Promise.all(KINDS.map((kind) => lookAtRotation(kind, options))))
    const { count, behind, refusing } = status.subscribers
    return {
      version: status.version,
      ready: status.ready,
      clockAhead,
      authorities: status.authorities.flatMap(authorityLook),
      subscribers: { count, behind, refusing },
      rotations,
      federation: status.federation.map(federatedLook),
    }
  })
}

function authorityLook(one: ResponseOf<typeof statusShow>["authorities"][number]): ServerLook["authorities"] {
  const { kind, id, state, not_before: notBefore, not_after: notAfter } = one
  if (kind === "jwt" || notBefore === undefined || notAfter === undefined) return []
  return [{ kind, id, state, notBefore, notAfter }]
}

function federatedLook(one: ResponseOf<typeof statusShow>["federation"][number]): FederatedLook {
  return { trustDomain: one.trust_domain, inForce: one.in_force, stored: one.stored, trouble: one.trouble }
}

async function lookAtRotation(of: RotationKind, options: AdminOptions): Promise<RotationLook> {
  const one = await askAdmin(rotationStatus, { kind: of }, options)
  const { kind, phase, since, paused = false, stopped, late_count: late, until } = one
  const decision = one.decision === true && one.auto !== true ? one.to : undefined
  return { kind, phase, since, paused, stopped, decision, late, until }
}

const KINDS = ["x509", "jwt"] as const
