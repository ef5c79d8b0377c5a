import type { RotationKind } from "../../core/authority/rotation-state.ts"
import type { RotationTerms } from "../../core/authority/safe-points.ts"
import type { Seconds } from "../../core/time.ts"
import type { ServerConfig } from "../config/server-config.ts"

/** What the configuration says of rotations, and of what is alive in them. */
export function rotationTerms({ rotation, rules, x509, jwt }: ServerConfig, kind: RotationKind): RotationTerms {
  return {
    skew: rotation.skew,
    readerWait: rotation.readerWait,
    publishAhead: kind === "jwt" ? jwt.publishAhead : 0,
    canarySoak: rotation.canary.soak,
    maxSvidTtl:
      kind === "jwt" ? jwt.ttl : rules.rules.reduce((most, { spec }) => Math.max(most, spec.x509Ttl), x509.ttl),
  }
}

/** The longest life of anything that is signed. */
export function longestLife(config: ServerConfig): Seconds {
  return Math.max(rotationTerms(config, "x509").maxSvidTtl, rotationTerms(config, "jwt").maxSvidTtl)
}
