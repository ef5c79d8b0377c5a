import assert from "node:assert/strict"
import { test } from "node:test"
import {
  isReserved,
  parseSpiffeId,
  parseTrustDomain,
  parseWorkloadId,
  trustDomainId,
} from "../../src/core/spiffe/id.ts"

const MALFORMED = { code: "malformed" }
const TD_BYTES = "abcdefghijklmnopqrstuvwxyz0123456789._-"
const PATH_BYTES = `${TD_BYTES}ABCDEFGHIJKLMNOPQRSTUVWXYZ`
const ALL_BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))

const REFUSED: readonly (readonly [rule: string, what: string, id: string])[] = [
  ["SID-01", "another scheme", "https://prod.example/a"],
  ["SID-01", "no scheme", "prod.example/a"],
  ["SID-01", "no text", ""],
  ["SID-01", "no trust domain", "spiffe:///a"],
  ["SID-01", "a query", "spiffe://prod.example/a?b"],
  ["SID-01", "a fragment", "spiffe://prod.example/a#b"],
  ["SID-01", "user information", "spiffe://me@prod.example/a"],
  ["SID-01", "a port", "spiffe://prod.example:443/a"],
  ["SID-02", "a percent-encoded trust domain", "spiffe://prod%2eexample/a"],
  ["SID-02", "a trust domain outside ASCII", "spiffe://pröd.example/a"],
  ["SID-03", "a trust domain of 256 bytes", `spiffe://${"a".repeat(256)}/a`],
  ["SID-04", "an IPv6 literal", "spiffe://[::1]/a"],
  ["SID-05", "a percent-encoded path", "spiffe://prod.example/%61"],
  ["SID-05", "an empty segment", "spiffe://prod.example/a//b"],
  ["SID-05", "a dot segment", "spiffe://prod.example/./b"],
  ["SID-05", "a dot segment at the end", "spiffe://prod.example/a/."],
  ["SID-05", "a dot-dot segment", "spiffe://prod.example/a/../b"],
  ["SID-05", "a trailing slash", "spiffe://prod.example/a/"],
  ["SID-05", "only a slash", "spiffe://prod.example/"],
  ["SID-05", "a line break at the end", "spiffe://prod.example/a\n"],
  ["SID-06", "an upper-case scheme", "Spiffe://prod.example/a"],
  ["SID-06", "an upper-case trust domain", "spiffe://Prod.example/a"],
  ["SID-08", "2049 bytes", idOfLength(2049)],
]

for (const [rule, what, id] of REFUSED) {
  test(`[${rule}] refuses an ID with ${what}`, () => assert.throws(() => parseSpiffeId(id), MALFORMED))
}

const ACCEPTED: readonly (readonly [rule: string, what: string, id: string])[] = [
  ["SID-03", "a trust domain of 255 bytes", `spiffe://${"a".repeat(255)}/a`],
  ["SID-04", "an IPv4 address as trust domain", "spiffe://10.0.0.1/a"],
  ["SID-04", "a trust domain that is no DNS name", "spiffe://-_.._-/a"],
  ["SID-05", "three dots and a hidden file as segments", "spiffe://prod.example/.../.path"],
  ["SID-05", "a path in mixed case, kept as it is", "spiffe://prod.example/Ns/ns"],
  ["SID-07", "2048 bytes", idOfLength(2048)],
  ["SID-09", "no path", "spiffe://prod.example"],
]

for (const [rule, what, id] of ACCEPTED) {
  test(`[${rule}] accepts ${what}`, () => assert.equal(parseSpiffeId(id), id))
}

test("[SID-09] the ID of a trust domain has neither path nor slash, and is no workload's", () => {
  assert.equal(trustDomainId(parseTrustDomain("prod.example")), "spiffe://prod.example")
  assert.throws(() => parseWorkloadId("spiffe://prod.example"), MALFORMED)
})

test("[SID-03] a trust domain has 255 bytes at most where it stands alone, too", () => {
  assert.equal(parseTrustDomain("a".repeat(255)).length, 255)
  for (const name of ["", "a".repeat(256)]) assert.throws(() => parseTrustDomain(name), MALFORMED)
})

test("[SID-10] the path /assay and all below it is reserved, a path that only begins alike is not", () => {
  const reserved = ["/assay", "/assay/server", "/assay/a/b"]
  const free = ["/assayer", "/ns/assay", "/Assay"]
  for (const path of reserved) assert.equal(isReserved(parseSpiffeId(`spiffe://prod.example${path}`)), true, path)
  for (const path of free) assert.equal(isReserved(parseSpiffeId(`spiffe://prod.example${path}`)), false, path)
})

test("[SID-02][SID-12] of 256 byte values a trust domain takes exactly those of its character set", () => {
  const taken = ALL_BYTES.filter((byte) => accepts(`spiffe://a${byte}b/x`) && byte !== "/")
  assert.deepEqual(taken.sort(), TD_BYTES.split("").sort())
  const named = ALL_BYTES.filter((byte) => doesNotThrow(() => parseTrustDomain(`a${byte}b`)))
  assert.deepEqual(named.sort(), TD_BYTES.split("").sort())
})

test("[SID-05][SID-12] of 256 byte values a path segment takes exactly those of its character set", () => {
  const taken = ALL_BYTES.filter((byte) => accepts(`spiffe://td/a${byte}b`) && byte !== "/")
  assert.deepEqual(taken.sort(), PATH_BYTES.split("").sort())
})

test("[SID-12] every pair of bytes at the end of an ID is decided by the character set and the dot rule", () => {
  const path = new Set(PATH_BYTES.split(""))
  for (const first of ALL_BYTES) {
    for (const second of ALL_BYTES) {
      const expected = path.has(first) && path.has(second) && `${first}${second}` !== ".."
      assert.equal(accepts(`spiffe://td/${first}${second}`), expected, `${first}${second}`)
    }
  }
})

function idOfLength(length: number): string {
  const start = "spiffe://prod.example/"
  return start + "a".repeat(length - start.length)
}

function accepts(id: string): boolean {
  return doesNotThrow(() => parseSpiffeId(id))
}

function doesNotThrow(act: () => unknown): boolean {
  try {
    act()
    return true
  } catch {
    return false
  }
}
