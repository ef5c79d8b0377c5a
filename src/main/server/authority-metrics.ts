import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import type { TrustState } from "../../app/authority/trust-state.ts"
import type { RotationState } from "../../core/authority/rotation-state.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"

/** Set the gauges of root and rotations to what the record says now. */
export function measureAuthorities(metrics: ServerMetrics, trust: TrustState): void {
  const { roots, rotations } = trust.record()
  for (const { state, certificate } of roots) if (state === "active") measureRoot(metrics, certificate)
  metrics.rotationPhase.reset()
  measureRotation(metrics, "x509", rotations.x509)
  measureRotation(metrics, "jwt", rotations.jwt)
}

/** One root at most signs. */
function measureRoot(metrics: ServerMetrics, certificate: Uint8Array): void {
  const { notBefore, notAfter } = parseCertificate(certificate)
  metrics.authorityNotAfter.set({ authority: "root" }, notAfter)
  metrics.authorityLifetime.set({ authority: "root" }, notAfter - notBefore)
}

function measureRotation(metrics: ServerMetrics, kind: "x509" | "jwt", state: RotationState): void {
  const { phase } = state
  const [since, held] = phase === "stable" ? [0, false] : [state.since, state.paused || state.stopped !== undefined]
  metrics.rotationPhase.set({ kind, phase }, 1)
  metrics.rotationSince.set({ kind }, since)
  metrics.rotationStopped.set({ kind }, held ? 1 : 0)
}
