import type { RotationTerms } from "../../core/authority/safe-points.ts"
import type { ServerConfig } from "../config/server-config.ts"

/** What the configuration says of rotations, and of what is alive in them. */
export function rotationTerms({ rotation, rules, x509 }: ServerConfig): RotationTerms {
  return {
    skew: rotation.skew,
    readerWait: rotation.readerWait,
    canarySoak: rotation.canary.soak,
    maxSvidTtl: rules.rules.reduce((most, { spec }) => Math.max(most, spec.x509Ttl), x509.ttl),
  }
}
