import { z } from "zod"
import { keySetSchema } from "./cluster-schema.ts"
import { outsideIssuer, workloadId } from "./outside-issuer-schema.ts"
import { publishSchema } from "./publish-schema.ts"
import { httpsUrl, label, setOf, text } from "./values.ts"

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
  .strictObject(
    outsideIssuer({
      audiences: "Audiences of tokens made for Assay.",
      claims: "Claims that must have exactly this text, e.g. the owner of the repositories.",
    }),
  )
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
