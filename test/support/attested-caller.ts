import { Attested, type AttestedClaims } from "../../src/core/policy/attested.ts"

/** A caller whose evidence was verified; what a test does not name is filled in. */
export function attestedCaller(claims: Partial<AttestedClaims> = {}): Attested {
  return Attested.witness({
    kind: "k8s-token",
    cluster: "main",
    namespace: "shop",
    serviceAccount: "web",
    serviceAccountUid: "sa-uid",
    pod: { name: "web-0", uid: "pod-uid" },
    node: { name: "node-1", uid: "node-uid" },
    tokenId: undefined,
    expiresAt: 2_000_000_000,
    evidenceDigest: new Uint8Array(32),
    degraded: false,
    ...claims,
  })
}
