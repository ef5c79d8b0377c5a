import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import type { TrustState } from "../../app/authority/trust-state.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"

/** Set the gauges of root and rotations to what the record says now. */
export function measureAuthorities(metrics: ServerMetrics, trust: TrustState): void {
  const { roots, rotations } = trust.record()
  const active = roots.filter(({ state }) => state === "active").map(({ notAfter }) => notAfter)
  if (active.length > 0) metrics.authorityNotAfter.set({ authority: "root" }, Math.min(...active))
  metrics.rotationPhase.reset()
  measureRotation(metrics, "x509", rotations.x509)
  measureRotation(metrics, "jwt", rotations.jwt)
}

function measureRotation(metrics: ServerMetrics, kind: "x509" | "jwt", state: RotationState): void {
  const { phase } = state
  const [since, held] = phase === "stable" ? [0, false] : [state.since, state.paused || state.stopped !== undefined]
  metrics.rotationPhase.set({ kind, phase }, 1)
  metrics.rotationSince.set({ kind }, since)
  metrics.rotationStopped.set({ kind }, held ? 1 : 0)
}
