import type { X509Context } from "../../src/client/x509-context.ts"
import type { X509Holder } from "../../src/client/x509-source.ts"
import { Secret } from "../../src/core/secret.ts"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { parseSpiffeId, type TrustDomain, trustDomainOf } from "../../src/core/spiffe/id.ts"
import type { LeafOptions, TestCa } from "./test-ca.ts"

/** An identity without Workload API, rotated when the test says so. */
export interface FakeHolder extends X509Holder {
  /** Serial of the leaf that it shows, lowercase hex. */
  readonly serial: string
  /** How many follow its changes. */
  readonly listeners: number
  /** A new key and leaf of `ca`, default the one before; `trusted` are all whose bundles it holds, default those before. */
  rotate(ca?: TestCa, trusted?: readonly TestCa[]): void
}

/** @param trusted whose leaves it accepts; default: `ca` alone */
export function makeFakeHolder(
  ca: TestCa,
  spiffeId: string,
  trusted: readonly TestCa[] = [ca],
  leafOptions: LeafOptions = {},
): FakeHolder {
  const listeners = new Set<(context: X509Context) => void>()
  let [issuer, anchors] = [ca, trusted]
  let leaf = issuer.issueLeaf(spiffeId, leafOptions)
  const read = (): X509Context => ({
    svid: {
      spiffeId: parseSpiffeId(spiffeId),
      hint: "",
      chain: leaf.chain,
      key: new Secret(leaf.pkcs8),
      bundle: issuer.bundle.x509Authorities,
    },
    expiresAt: leaf.certificate.notAfter,
    bundles: bundlesOf(anchors),
  })
  let context = read()
  return {
    current: () => context,
    onChange: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    get serial() {
      return leaf.certificate.serial
    },
    get listeners() {
      return listeners.size
    },
    rotate: (next = issuer, trust = anchors) => {
      ;[issuer, anchors] = [next, trust]
      leaf = issuer.issueLeaf(spiffeId, leafOptions)
      context = read()
      for (const listener of listeners) listener(context)
    },
  }
}

/** One bundle for each trust domain, of all the roots that are of it. */
function bundlesOf(cas: readonly TestCa[]): ReadonlyMap<TrustDomain, TrustBundle> {
  const bundles = new Map<TrustDomain, TrustBundle>()
  for (const { trustDomain, bundle } of cas) {
    const before = bundles.get(trustDomainOf(parseSpiffeId(`spiffe://${trustDomain}`)))
    const x509Authorities = [...(before?.x509Authorities ?? []), ...bundle.x509Authorities]
    bundles.set(trustDomain, { ...bundle, x509Authorities })
  }
  return bundles
}
