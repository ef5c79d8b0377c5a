import { z } from "zod"
import { toIdentityError } from "../../core/errors.ts"
import { parseClaimTemplate } from "../../core/oauth/claim-template.ts"
import { parseWorkloadId } from "../../core/spiffe/id.ts"
import { keySetSchema } from "./cluster-schema.ts"
import { label, setOf, text } from "./values.ts"

/** Keys about an issuer that is neither a cluster nor this server. @param words what its audiences are, and which claims it must have, as sentences */
export function outsideIssuer(words: { readonly audiences: string; readonly claims: string }) {
  return {
    name: label().describe("Name of the issuer in log and audit. Unique."),
    issuer: text(2048).describe("iss of its tokens, compared as text."),
    audiences: setOf(text(255), { min: 1, max: 16 }).describe(
      `${words.audiences} A token must be for one or more of these and for nobody else.`,
    ),
    keys: keySetSchema.describe("Where its public keys come from: exactly one of jwks_file and jwks_url."),
    required_claims: z
      .record(text(128), text(1024))
      .default({})
      // A list, as names of claims are not keys of ours.
      .transform((claims) => Object.entries(claims).map(([claim, value]) => ({ claim, value })))
      .describe(`${words.claims} Default: none.`),
    spiffe_id: parsed(2048, parseClaimTemplate).describe(
      "Template of the ID's path from its claims, e.g. /ci/{{repository...}}; {{claim}} is one segment, {{claim...}} one or more.",
    ),
  }
}

/** A SPIFFE ID with a path. */
export function workloadId() {
  return parsed(2048, parseWorkloadId)
}

function parsed<T>(max: number, parse: (value: string) => T) {
  return text(max).transform((value, context): T => {
    try {
      return parse(value)
    } catch (thrown) {
      context.addIssue({ code: "custom", message: toIdentityError(thrown).message })
      return z.NEVER
    }
  })
}
