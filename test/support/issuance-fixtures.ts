import type { AuditEvent } from "../../src/core/audit/event.ts"
import { keyNameOf } from "../../src/core/ban/key-name.ts"
import { parseWorkloadId } from "../../src/core/spiffe/id.ts"
import type { Instant } from "../../src/core/time.ts"
import { encodeDer, encodeSequence, encodeUnsigned } from "../../src/core/x509/der.ts"
import type { Intent, IntentGuards } from "../../src/ports/issuance-log.ts"

/** The moment at which fixtures are made. */
export const FIXTURE_NOW: Instant = 1_800_000_000

/** For stores in which nobody was banned. */
export const NO_BANS: IntentGuards = { bansSeen: 0 }

/** An intent of a plausible size; `change` says what matters to the test. */
export function fixtureIntent(serial: string, change: Partial<Intent> = {}): Intent {
  return {
    serial,
    kind: "x509",
    authorityId: "5a".repeat(20),
    epoch: 7,
    spiffeId: parseWorkloadId("spiffe://prod.example/ns/shop/sa/web"),
    hint: "",
    tbs: new Uint8Array(600).fill(0x30),
    notBefore: FIXTURE_NOW - 10,
    notAfter: FIXTURE_NOW + 3600,
    createdAt: FIXTURE_NOW,
    requester: {
      cluster: "east",
      namespace: "shop",
      serviceAccount: "web",
      pod: "web-5d8f7c9b4-x2x7k",
      podUid: "0f8fad5b-d9cb-469f-a165-70867728950e",
      node: "node-17",
      evidenceDigest: new Uint8Array(32).fill(9),
    },
    rule: "default",
    idempotencyKey: undefined,
    ...change,
  }
}

/** As much of a TBSCertificate as says for which key it is. @param spki stands for the key */
export function tbsFor(spki: Uint8Array): Uint8Array {
  const version = encodeDer(0xa0, encodeUnsigned(new Uint8Array([2])))
  const empty = encodeSequence()
  return encodeSequence(version, encodeUnsigned(new Uint8Array([1])), empty, empty, empty, empty, encodeSequence(spki))
}

/** How bans name the key of {@link tbsFor}. */
export function keyNameFor(spki: Uint8Array): string {
  return keyNameOf(encodeSequence(spki))
}

/** The audit record that goes with {@link fixtureIntent}. */
export function fixtureGrant(serial: string): AuditEvent {
  return {
    type: "svid.granted",
    at: FIXTURE_NOW,
    actor: "k8s:east/shop/web/web-5d8f7c9b4-x2x7k",
    requestId: `request-${serial}`,
    kind: "x509",
    spiffeId: "spiffe://prod.example/ns/shop/sa/web",
    serial,
    authority: "5a".repeat(20),
    epoch: 7,
    renews: "",
    rule: "default",
    revision: "1",
    degraded: false,
  }
}
