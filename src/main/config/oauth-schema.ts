import { z } from "zod"
import { toIdentityError } from "../../core/errors.ts"
import { parseClaimTemplate } from "../../core/oauth/claim-template.ts"
import { parseWorkloadId } from "../../core/spiffe/id.ts"
import { keySetSchema } from "./cluster-schema.ts"
import { publishSchema } from "./publish-schema.ts"
import { httpsUrl, label, setOf, text } from "./values.ts"

/** A SPIFFE ID with a path. */
function workloadId() {
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

const client = z
  .strictObject({
    client_id: label().describe("Name under which the client is known. Unique."),
    spiffe_id: workloadId().describe(
      "The identity that it has in rules and tokens. Nobody else must be able to get it.",
    ),
    keys: keySetSchema.describe("Its public keys: exactly one of jwks_file and jwks_url."),
  })
  .describe("A client that authenticates by an assertion which it signs itself (private_key_jwt).")

const externalIssuer = z
  .strictObject({
    name: label().describe("Name of the issuer in log and audit. Unique."),
    issuer: text(2048).describe("iss of its tokens, compared as text."),
    audiences: setOf(text(255), { min: 1, max: 16 }).describe(
      "Audiences of tokens made for Assay. A token must be for one or more of these and for nobody else.",
    ),
    keys: keySetSchema.describe("Where its public keys come from: exactly one of jwks_file and jwks_url."),
    required_claims: z
      .record(text(128), text(1024))
      .default({})
      // A list, as names of claims are not keys of ours.
      .transform((claims) => Object.entries(claims).map(([claim, value]) => ({ claim, value })))
      .describe("Claims that must have exactly this text, e.g. the owner of the repositories. Default: none."),
    spiffe_id: parsed(2048, parseClaimTemplate).describe(
      "Template of the ID's path from its claims, e.g. /ci/{{repository...}}; {{claim}} is one segment, {{claim...}} one or more.",
    ),
  })
  .describe("An issuer outside, such as a CI system, whose tokens can be exchanged.")

const resource = z
  .strictObject({
    audience: text(1024).describe("Audience of access tokens, as it stands in aud."),
    holders: setOf(workloadId(), { min: 1, max: 64 }).describe(
      "Identities of the services that tokens with it are for: they may introspect and exchange them.",
    ),
  })
  .describe("Whose an audience is.")

/** The token endpoint and everything beside it. */
export const oauthSchema = z
  .strictObject({
    issuer: httpsUrl().describe(
      "Issuer of access tokens, as relying parties know it. May differ from the address that is listened on.",
    ),
    endpoints: httpsUrl()
      .optional()
      .describe(
        "URL below which clients reach token, introspection and revocation endpoint, when the issuer is served from elsewhere, such as a bucket. Default: the issuer.",
      ),
    publish: z
      .array(publishSchema)
      .max(8)
      .default([])
      .describe(
        "Where discovery and keys are written to as well, for those who serve them from a bucket. Default: nowhere.",
      ),
    dpop_nonce: z
      .enum(["required", "optional", "off"])
      .default("optional")
      .describe(
        "Whether DPoP proofs need a nonce of this server: optional checks those that have one. Default optional.",
      ),
    clients: z.array(client).max(1000).default([]).describe("Clients that sign their own assertions. Reloadable."),
    external_issuers: z.array(externalIssuer).max(64).default([]).describe("Issuers outside. Reloadable."),
    resources: z.array(resource).max(10_000).default([]).describe("Whose each audience is. Reloadable."),
    revokers: setOf(workloadId(), { min: 0, max: 64 })
      .default([])
      .describe(
        "Identities that may revoke all tokens of any subject: the security team's. Reloadable. Default: none.",
      ),
  })
  .describe("The token endpoint, introspection, revocation, discovery and JWKS. Default: none of them is served.")
