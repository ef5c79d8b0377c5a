import assert from "node:assert/strict"
import { test } from "node:test"
import { normaliseAudience } from "../../src/app/agent/normalise-audience.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { parseAudience } from "../../src/core/jose/registered-claims.ts"
import { type Form, parseForm } from "../../src/core/oauth/form.ts"
import { parseTokenRequest } from "../../src/core/oauth/token-request.ts"
import { audiences } from "../../src/transports/identity/messages.ts"
import { parseJwtSvidRequest, parseValidateRequest } from "../../src/transports/workload/requests.ts"

const LONGEST = ["a".repeat(1024), "é".repeat(512), "😀".repeat(256)]
/** Every reader of audiences that somebody else names. */
const DOORS: Readonly<Record<string, (list: string[]) => unknown>> = {
  "the Workload API": (audience) => parseJwtSvidRequest({ audience, spiffeId: "" }),
  "the agent": normaliseAudience,
  "the Identity API": audiences,
  "what reads the claims of a token": parseAudience,
  "the token endpoint": (list) => parseTokenRequest(formOf(list), "spiffe://prod.example"),
}

function formOf(audience: readonly string[]): Form {
  const named = audience.map((one) => ["audience", one])
  const body = new URLSearchParams([["grant_type", "client_credentials"], ...named])
  return parseForm(body.toString(), new Set(["audience"]))
}

function isRefusal(thrown: unknown): boolean {
  return thrown instanceof IdentityError && ["malformed", "audience-denied"].includes(thrown.code)
}

for (const [door, read] of Object.entries(DOORS)) {
  test(`[JW-16] ${door} takes an audience of 1024 bytes, whatever its characters, and none of more`, () => {
    for (const one of LONGEST) {
      assert.doesNotThrow(() => read([one]), one)
      assert.throws(() => read([`${one}a`]), isRefusal)
    }
  })

  test(`[JW-16] ${door} takes 16 audiences, and not 17`, () => {
    const many = Array.from({ length: 17 }, (_, i) => `a${i}`)
    assert.doesNotThrow(() => read(many.slice(1)))
    assert.throws(() => read(many), isRefusal)
  })
}

test("[JW-16] a JWT-SVID is validated for an audience of 1024 bytes, whatever its characters, and none of more", () => {
  for (const audience of LONGEST) {
    assert.equal(parseValidateRequest({ audience, svid: "a.b.c" }).audience, audience)
    assert.throws(() => parseValidateRequest({ audience: `${audience}a`, svid: "a.b.c" }), isRefusal)
  }
})
