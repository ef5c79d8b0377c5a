import { randomBytes } from "node:crypto"
import type { HeldSvid, IdentityView } from "../../src/app/deliver/identity-source.ts"
import { Secret } from "../../src/core/secret.ts"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe/id.ts"

/** A bundle of dummy bytes; any field may be given. */
export function fakeBundle(trustDomain: string, fields: Partial<TrustBundle> = {}): TrustBundle {
  return {
    trustDomain: parseTrustDomain(trustDomain),
    x509Authorities: [Buffer.from(`root of ${trustDomain}`)],
    jwtAuthorities: [],
    sequence: 1,
    refreshHint: undefined,
    ...fields,
  }
}

/** An SVID of dummy bytes, fresh at every call; any field may be given. */
export function fakeSvid(spiffeId: string, fields: Partial<HeldSvid> = {}): HeldSvid {
  return {
    spiffeId: parseSpiffeId(spiffeId),
    hint: "",
    chain: [Buffer.concat([Buffer.from(`leaf ${spiffeId} `), randomBytes(4)]), Buffer.from("issuing authority")],
    key: new Secret(randomBytes(16)),
    notAfter: 4_102_444_800,
    federatesWith: [],
    ...fields,
  }
}

export interface FakeViewParts {
  readonly svids?: readonly HeldSvid[]
  readonly own?: TrustBundle
  readonly federated?: readonly TrustBundle[]
  readonly epoch?: number
}

/** A view over `prod.example` with one SVID, unless told otherwise. */
export function fakeView(parts: FakeViewParts = {}): IdentityView {
  return {
    snapshot: {
      epoch: parts.epoch ?? 1,
      incarnation: "fake",
      own: parts.own ?? fakeBundle("prod.example"),
      federated: parts.federated ?? [],
    },
    svids: parts.svids ?? [fakeSvid("spiffe://prod.example/ns/shop/sa/cart")],
  }
}
