import assert from "node:assert/strict"
import { test } from "node:test"
import { grantedEvent } from "../../../../src/app/issue/intent.ts"
import { canonicalJson, entryOf } from "../../../../src/core/audit/record.ts"
import { Attested } from "../../../../src/core/policy/attested.ts"
import { parseSpiffeId } from "../../../../src/core/spiffe/id.ts"

test("an event is the same text in whatever order its members stand", () => {
  const members = { authority: 'a"b\\', "b.c": 1.5, degraded: false, list: ["z", "ü", 3], n: null, Z: "\u2028\ud83d" }
  const text = '{"Z":"\u2028\\ud83d","authority":"a\\"b\\\\","b.c":1.5,"degraded":false,"list":["z","ü",3],"n":null}'
  const entries = Object.entries(members)
  for (const turned of [entries, entries.toReversed(), entries.toSorted(([a], [b]) => (a < b ? -1 : 1))]) {
    assert.equal(canonicalJson(Object.fromEntries(turned)), text)
  }
  assert.equal(canonicalJson({}), "{}")
})

test("what is granted is written with its members in order", () => {
  const attested = Attested.witness({
    kind: "k8s-token",
    cluster: "c",
    namespace: "n",
    serviceAccount: "s",
    serviceAccountUid: "u",
    pod: { name: "p", uid: "v" },
    node: undefined,
    tokenId: undefined,
    expiresAt: 2,
    evidenceDigest: new Uint8Array(32),
    degraded: true,
  })
  const grant = {
    rule: "default",
    revision: "r",
    id: parseSpiffeId("spiffe://a.example/x"),
    hint: "",
    x509Ttl: 1,
    jwtTtl: 1,
    dnsNames: [],
    audiences: undefined,
    federatesWith: [],
  }
  const intent = { serial: "01", authorityId: "02", epoch: 3, createdAt: 4 }
  const { data, ...rest } = entryOf(grantedEvent("x509", attested, grant, intent, "q", "00"))
  assert.deepEqual(rest, { at: 4, type: "svid.granted", actor: "k8s:c/n/s/p", requestId: "q" })
  assert.equal(
    data,
    '{"authority":"02","degraded":true,"epoch":3,"kind":"x509","renews":"00","revision":"r","rule":"default",' +
      '"serial":"01","spiffeId":"spiffe://a.example/x"}',
  )
})
