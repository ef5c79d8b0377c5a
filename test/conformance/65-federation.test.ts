import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import { test } from "node:test"
import { parseBundle as fromWire } from "../../src/adapters/identity-client/messages.ts"
import { publicJwk, thumbprint } from "../../src/core/jose/jwk.ts"
import type { JwtAuthority, TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { encodeBundle, encodeJwtBundle, parseBundle, parseJwtBundle } from "../../src/core/spiffe/bundle-document.ts"
import { encodeBundleMap, parseBundleMap } from "../../src/core/spiffe/bundle-map.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { Bundle } from "../../src/gen/assay/v1/identity.ts"
import { encodeBundle as toWire } from "../../src/transports/identity/messages.ts"
import { assertRefused } from "../support/refused.ts"
import { makeTestCa } from "../support/test-ca.ts"

const own = parseTrustDomain("example.org")
const ca = makeTestCa()
const spki = (kind: "ec" | "rsa"): Buffer =>
  kind === "ec"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ format: "der", type: "spki" })
const authority = (kind: "ec" | "rsa"): JwtAuthority => {
  const jwk = publicJwk(spki(kind))
  return { kid: thumbprint(jwk), algorithm: kind === "ec" ? "ES256" : "RS256", jwk }
}
const bundle: TrustBundle = {
  trustDomain: own,
  x509Authorities: [ca.root.certificate.der, makeTestCa({ keys: "rsa" }).root.certificate.der],
  jwtAuthorities: [authority("ec"), authority("rsa")],
  sequence: 42,
  refreshHint: 300,
}

interface Document {
  keys: Record<string, unknown>[]
  [member: string]: unknown
}
const decoded = (): Document => JSON.parse(encodeBundle(bundle)) as Document // our own writer's shape
const parse = (document: unknown): TrustBundle => parseBundle(JSON.stringify(document), own)

test("[TD-01] reads what it wrote, and an empty list of keys as a bundle that trusts nothing", () => {
  assert.deepEqual(parseBundle(encodeBundle(bundle), own), bundle)
  const empty = parse({ keys: [] })
  assert.deepEqual(empty, {
    trustDomain: own,
    x509Authorities: [],
    jwtAuthorities: [],
    sequence: 0,
    refreshHint: undefined,
  })
  for (const bad of [{}, { keys: {} }, { keys: [1] }, []]) assertRefused(() => parse(bad), "malformed")
})

test("[TD-02][TD-03] writes sequence and refresh hint as whole numbers, and refuses other ones", () => {
  assert.equal(decoded()["spiffe_sequence"], 42)
  assert.equal(decoded()["spiffe_refresh_hint"], 300)
  for (const name of ["spiffe_sequence", "spiffe_refresh_hint"]) {
    for (const value of ["1", 1.5, -1, null, []]) {
      assertRefused(() => parse({ keys: [], [name]: value }), "malformed", "bundle-member")
    }
  }
})

test("[TD-27] a sequence number or hint that is larger than consumers can read is handed on as the largest that they can", () => {
  for (const large of ["9007199254740993", "18446744073709551615", "1e300"]) {
    const text = `{"keys":[],"spiffe_sequence":${large},"spiffe_refresh_hint":${large}}`
    const { sequence, refreshHint } = parseBundle(text, own)
    assert.deepEqual([sequence, refreshHint], [Number.MAX_SAFE_INTEGER, 0xffff_ffff])
    const wire = Bundle.encode(toWire({ ...bundle, sequence, refreshHint }, encodeBundle)).finish()
    const read = fromWire(Bundle.decode(wire))
    assert.deepEqual([read.sequence, read.refreshHint], [sequence, refreshHint])
  }
  assert.equal(parse({ keys: [], spiffe_sequence: 2 ** 53 - 2 }).sequence, 2 ** 53 - 2)
})

test("[TD-04] ignores keys with an unknown kty or use", () => {
  const { keys } = decoded()
  const [x509, , jwt] = keys
  const strangers = [
    { ...x509, kty: "OKP" },
    { ...jwt, use: "sig" },
    { ...jwt, use: undefined },
    { ...jwt, kty: "oct" },
    {},
  ]
  assert.deepEqual(parse({ keys: [...strangers, ...keys] }).jwtAuthorities, bundle.jwtAuthorities)
  assert.deepEqual(parse({ keys: strangers }), parse({ keys: [] }))
})

test("[TD-05] writes no key parameter beyond those that are defined", () => {
  const names = decoded().keys.map((key) => Object.keys(key).sort().join(" "))
  assert.deepEqual(names, ["crv kty use x x5c y", "e kty n use x5c", "crv kid kty use x y", "e kid kty n use"])
})

test("[X5-18][X5-19][X5-20] writes an authority as x509-svid, without kid, with one certificate", () => {
  const [key] = decoded().keys
  assert.equal(key?.["use"], "x509-svid")
  assert.equal("kid" in (key ?? {}), false)
  assert.deepEqual(key?.["x5c"], [Buffer.from(ca.root.certificate.der).toString("base64")])
})

test("[X5-21] ignores a key without x5c and every certificate after the first", () => {
  const [key] = decoded().keys
  const x5c = [Buffer.from(ca.root.certificate.der).toString("base64"), "not a certificate"]
  assert.deepEqual(
    parse({
      keys: [
        { ...key, x5c },
        { ...key, x5c: undefined },
      ],
    }).x509Authorities,
    [ca.root.certificate.der],
  )
  for (const broken of [["?"], [""], [7], "text", ["AAAA"]]) {
    assertRefused(() => parse({ keys: [{ ...key, x5c: broken }] }), "malformed")
  }
})

test("[JW-12] a key is taken for what its use says, whatever else it could be", () => {
  const [x509, , jwt] = decoded().keys
  const swapped = parse({
    keys: [
      { ...x509, kid: "a", use: "jwt-svid" },
      { ...jwt, x5c: x509?.["x5c"], use: "x509-svid" },
    ],
  })
  assert.deepEqual(
    swapped.jwtAuthorities.map(({ kid }) => kid),
    ["a"],
  )
  assert.deepEqual(swapped.x509Authorities, [ca.root.certificate.der])
  const unmarked = parse({ keys: [x509, jwt].map((key) => ({ ...key, use: undefined })) })
  assert.deepEqual([unmarked.jwtAuthorities, unmarked.x509Authorities], [[], []])
})

test("[TD-10] a bundle with a JWT key that has no kid, or the kid of another one, is refused", () => {
  const jwt = decoded().keys[2]
  for (const keys of [[{ ...jwt, kid: undefined }], [{ ...jwt, kid: "" }], [jwt, jwt], [{ ...jwt, x: "=" }]]) {
    assertRefused(() => parse({ keys }), "malformed", "bundle-key")
  }
})

test("[TD-11] the JWT keys alone are read back, with or without use", () => {
  assert.deepEqual(parseJwtBundle(encodeJwtBundle(bundle)), bundle.jwtAuthorities)
  assert.deepEqual(parseJwtBundle(encodeJwtBundle(bundle).replaceAll(',"use":"jwt-svid"', "")), bundle.jwtAuthorities)
  const { keys }: Document = JSON.parse(encodeJwtBundle(bundle))
  assert.deepEqual(
    keys.map((key) => "x5c" in key),
    [false, false],
  )
})

test("[TD-06] writes a bundle map with unique names and refuses a member that stands twice", () => {
  const other = { ...bundle, trustDomain: parseTrustDomain("other.org"), x509Authorities: [] }
  const map = encodeBundleMap([bundle, other])
  assert.deepEqual(
    parseBundleMap(map).map(({ trustDomain }) => trustDomain),
    ["example.org", "other.org"],
  )
  assertRefused(() => parseBundleMap(map.replace('"other.org"', '"example.org"')), "malformed")
  assertRefused(() => parseBundle('{"keys":[],"keys":[]}', own), "malformed")
  assert.throws(() => encodeBundleMap([bundle, bundle]), TypeError)
})

test("[TD-07] a bundle map has no refresh hints, ignores them, and is loaded whole or not at all", () => {
  assert.equal(encodeBundleMap([bundle]).includes("refresh_hint"), false)
  const hinted = '{"trust_domains":{"a.org":{"keys":[],"spiffe_refresh_hint":"soon"}}}'
  assert.equal(parseBundleMap(hinted)[0]?.refreshHint, undefined)
  for (const domains of ['"a.org":{"keys":[]},"b.org":{}', '"a.org":{"keys":[]},"B.org":{"keys":[]}', '"a.org":1']) {
    assertRefused(() => parseBundleMap(`{"trust_domains":{${domains}}}`), "malformed")
  }
})

test("[TD-08][TD-09] a bundle belongs to the domain that its reader names, and to no other", () => {
  const text = encodeBundle(bundle)
  assert.equal(text.includes('"trust_domain'), false)
  assert.equal(parseBundle(text, parseTrustDomain("other.org")).trustDomain, "other.org")
  const [first, second] = parseBundleMap(
    encodeBundleMap([bundle, { ...bundle, trustDomain: parseTrustDomain("b.org"), x509Authorities: [] }]),
  )
  assert.equal(first?.x509Authorities.length, 2)
  assert.equal(second?.x509Authorities.length, 0)
})
