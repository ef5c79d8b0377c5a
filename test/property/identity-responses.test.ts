import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  BatchIssueX509Response,
  type BatchX509Result,
  IssueJwtResponse,
  IssueX509Response,
} from "../../src/gen/assay/v1/identity.ts"
import { encodeBatchIssueX509, encodeIssueJwt, encodeIssueX509 } from "../../src/transports/identity/encode-issued.ts"

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }).map((some) => some.toWellFormed()),
  fc.constant(""),
)
const count = fc.maxSafeNat()
const blob = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
const bundle = fc.option(
  fc.record({
    trustDomain: text,
    x509Authorities: fc.array(blob, { maxLength: 3 }),
    jwtAuthorities: blob,
    sequence: count,
    refreshHintSeconds: fc.nat(),
  }),
  { nil: undefined },
)
const x509 = fc.record({
  spiffeId: text,
  chain: fc.array(blob, { maxLength: 4 }),
  hint: text,
  notAfter: count,
  epoch: count,
  bundle,
})
const problem = fc.record({ code: text, reason: text, message: text, retryAfterSeconds: fc.nat(), next: text })
const result: fc.Arbitrary<BatchX509Result> = fc.oneof(
  x509.map((value) => ({ result: { $case: "issued" as const, value } })),
  problem.map((value) => ({ result: { $case: "problem" as const, value } })),
  fc.constant({ result: undefined }),
)

test("what was issued is encoded as the generated code encodes it", () => {
  fc.assert(fc.property(x509, (message) => equal(encodeIssueX509(message), IssueX509Response.encode(message))))
  const jwt = fc.record({ spiffeId: text, svid: text, hint: text, expiresAt: count })
  fc.assert(fc.property(jwt, (message) => equal(encodeIssueJwt(message), IssueJwtResponse.encode(message))))
  const batch = fc.record({ results: fc.array(result, { maxLength: 20 }), bundle })
  fc.assert(
    fc.property(batch, (message) => equal(encodeBatchIssueX509(message), BatchIssueX509Response.encode(message))),
  )
})

test("a number that no field can hold is refused, as a bug", () => {
  const message = { spiffeId: "", svid: "", hint: "" }
  for (const expiresAt of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => encodeIssueJwt({ ...message, expiresAt }), RangeError)
  }
})

function equal(actual: Buffer, expected: { finish(): Uint8Array }): void {
  assert.deepEqual(actual, Buffer.from(expected.finish()))
}
