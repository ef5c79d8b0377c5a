import { deepEqual, equal, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { IdentityError } from "../../../../src/core/errors.ts"
import { JWS_ALGORITHMS } from "../../../../src/core/jose/algorithm.ts"
import {
  decodeBase64url,
  type JwsProfile,
  MAX_TOKEN_LENGTH,
  parseClaimsObject,
  parseCompactJws,
} from "../../../../src/core/jose/compact.ts"

const PROFILE: JwsProfile = { algorithms: JWS_ALGORITHMS, types: ["JWT"] }
const b64 = (value: string | Uint8Array) => Buffer.from(value).toString("base64url")
const token = (header: object, payload: Uint8Array, signature: Uint8Array) =>
  `${b64(JSON.stringify(header))}.${b64(payload)}.${b64(signature)}`

/** True when it parses, false when it is refused as it should be; anything else thrown fails the test. */
function parses(text: string): boolean {
  try {
    parseCompactJws(text, PROFILE)
    return true
  } catch (thrown) {
    if (thrown instanceof IdentityError && thrown.code === "malformed") return false
    throw thrown
  }
}

test("parsing gives back what was encoded", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 500 }),
      fc.uint8Array({ minLength: 1, maxLength: 512 }),
      (payload, signature) => {
        const text = token({ alg: "RS256", kid: "k", typ: "JWT" }, payload, signature)
        const jws = parseCompactJws(text, PROFILE)
        deepEqual(jws.header, { alg: "RS256", kid: "k", typ: "JWT", jwk: undefined })
        deepEqual([...jws.payloadBytes], [...payload])
        deepEqual([...jws.signature], [...signature])
        equal(Buffer.from(jws.signingInput).toString(), text.slice(0, text.lastIndexOf(".")))
      },
    ),
  )
})

test("no text makes the parser throw anything but malformed", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => parses(text) || true))
  const parts = fc.array(fc.string({ unit: fc.constantFrom(...'eyJAQ-_=+/. {}":'.split("")), maxLength: 40 }), {
    maxLength: 5,
  })
  fc.assert(fc.property(parts, (list) => parses(list.join(".")) || true))
})

test("no header object passes unless it is of the allowed members and values", () => {
  const header = fc.dictionary(
    fc.constantFrom("alg", "kid", "typ", "crit", "jwk", "b64", "zip", "__proto__", "cty"),
    fc.oneof(fc.constantFrom("ES256", "RS256", "none", "JWT", "", "k"), fc.jsonValue({ maxDepth: 2 })),
  )
  fc.assert(
    fc.property(header, (members) => {
      const text = token(members, Buffer.from("{}"), new Uint8Array(64))
      const { alg, kid, typ, ...rest } = members
      const allowed =
        JWS_ALGORITHMS.some((known) => known === alg && ["ES384", "ES512"].every((other) => other !== known)) &&
        (kid === undefined || (typeof kid === "string" && kid !== "")) &&
        (typ === undefined || typ === "JWT") &&
        Object.keys(rest).length === 0
      equal(parses(text), allowed)
    }),
  )
})

test("changing any one character of a token never leaves the same content", () => {
  const text = token({ alg: "ES256" }, Buffer.from('{"a":1}'), new Uint8Array(64).fill(7))
  const before = parseCompactJws(text, PROFILE)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), (at, char) => {
      fc.pre(text[at] !== char)
      const changed = text.slice(0, at) + char + text.slice(at + 1)
      if (!parses(changed)) return
      const after = parseCompactJws(changed, PROFILE)
      const same = Buffer.compare(after.signature, before.signature) === 0
      equal(same && Buffer.compare(after.signingInput, before.signingInput) === 0, false)
    }),
    { numRuns: 2000 },
  )
})

test("the profile decides about algorithms and types", () => {
  const text = token({ alg: "ES256", typ: "JOSE" }, Buffer.from("{}"), new Uint8Array(64))
  throws(() => parseCompactJws(text, PROFILE), { code: "malformed" })
  equal(parseCompactJws(text, { algorithms: ["ES256"], types: ["JWT", "JOSE"] }).header.typ, "JOSE")
  throws(() => parseCompactJws(text, { algorithms: ["RS256"], types: ["JOSE"] }), { code: "malformed" })
})

test("a token of exactly 16 KiB passes", () => {
  const base = token({ alg: "RS256" }, new Uint8Array(0), new Uint8Array(258))
  const room = MAX_TOKEN_LENGTH - base.length
  const text = token({ alg: "RS256" }, new Uint8Array(Math.floor((room * 3) / 4)), new Uint8Array(258))
  equal(text.length, MAX_TOKEN_LENGTH)
  equal(parses(text), true)
  equal(parses(`${text}A`), false)
})

test("each algorithm of ECDSA has one length of signature", () => {
  for (const [alg, length] of [
    ["ES256", 64],
    ["ES384", 96],
    ["ES512", 132],
  ] as const) {
    equal(parses(token({ alg }, Buffer.from("{}"), new Uint8Array(length))), true)
    for (const wrong of [length - 1, length + 1]) {
      equal(parses(token({ alg }, Buffer.from("{}"), new Uint8Array(wrong))), false)
    }
  }
})

test("base64url is read in its canonical form only", () => {
  deepEqual([...decodeBase64url("-_8")], [0xfb, 0xff])
  for (const text of ["-_9", "+/8", "-_8=", "-_8 ", "A", "é"])
    throws(() => decodeBase64url(text), { code: "malformed" })
})

test("claims are one JSON object in UTF-8 without byte order mark", () => {
  deepEqual(parseClaimsObject(Buffer.from('{"a":1}')), { a: 1 })
  for (const bytes of [
    Buffer.from("\ufeff{}"),
    Buffer.from([0xff]),
    Buffer.from("[]"),
    Buffer.from('{"a":1,"a":2}'),
    Buffer.from(""),
  ]) {
    throws(() => parseClaimsObject(bytes), { code: "malformed" })
  }
})
