import assert from "node:assert/strict"
import test from "node:test"
import {
  type JwtKeyFacts,
  jwtRotationDue,
  jwtSetKids,
  jwtSetName,
  signingSet,
} from "../../../../src/core/authority/jwt-keys.ts"

const SCHEDULE = { keyTtl: 1000, publishAhead: 200, algorithms: ["ES256"] } as const
const BOTH = { ...SCHEDULE, algorithms: ["ES256", "RS256"] } as const
const ES: JwtKeyFacts = { kid: "e", algorithm: "ES256", state: "active", since: 100 }
const RS: JwtKeyFacts = { kid: "a", algorithm: "RS256", state: "active", since: 50 }

test("a set is called by all of its kids, whatever their order, and a set of one by its kid", () => {
  assert.equal(jwtSetName([ES, RS]), jwtSetName([RS, ES]))
  assert.deepEqual(jwtSetKids(jwtSetName([ES, RS])), ["a", "e"])
  assert.equal(jwtSetName([ES]), "e")
})

test("what signs are the active keys alone", () => {
  assert.equal(signingSet([ES, { ...RS, state: "published" }, { ...RS, kid: "old", state: "retired" }]), "e")
  assert.equal(signingSet([{ ...ES, state: "retired" }]), undefined)
})

test("the next set is due ahead of the end of the oldest key that signs", () => {
  assert.equal(jwtRotationDue([ES], SCHEDULE), 900)
  assert.equal(jwtRotationDue([ES, RS], BOTH), 850)
})

test("the next set is due at once when an algorithm is missing or one too many", () => {
  assert.equal(jwtRotationDue([ES], BOTH), 0)
  assert.equal(jwtRotationDue([ES, RS], SCHEDULE), 0)
  assert.equal(jwtRotationDue([RS], SCHEDULE), 0)
  assert.equal(jwtRotationDue([], SCHEDULE), 0)
})
