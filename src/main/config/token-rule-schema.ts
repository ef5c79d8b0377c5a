import { z } from "zod"
import { duration } from "./units.ts"
import { label, oneOrMore, setOf, text } from "./values.ts"

const GRANTS = ["client_credentials", "token-exchange", "jwt-bearer"] as const

/** One export as written. What its patterns and condition mean is checked by `core/rules`. */
const exportSchema = z.strictObject({
  name: label().describe("Name of the export in log, audit and explain. Unique among exports."),
  subject: ids(
    "Whom tokens may be about: an ID or path, all below one (/ns/shop/*), or all of the own trust domain (*); or a list.",
  ),
  audience: oneOrMore(target()).describe(
    "Audiences that tokens about the subject may be for, exactly: one or a list. * alone: whichever accepts.",
  ),
  mode: modes().describe(
    "How: self (the subject asks), impersonation (the client gets the subject's token), delegation (the token names who acts). One or a list. Default self.",
  ),
  client: ids(
    "Who may ask for tokens about the subject, as patterns. Required for impersonation and delegation, else absent.",
  ).optional(),
  actor: ids("Who may be the newest actor of a delegation, as patterns. Default: client.").optional(),
  when: condition(),
})

/** One accept as written. */
const acceptSchema = z.strictObject({
  name: label().describe("Name of the accept in log, audit and explain. Unique among accepts."),
  audience: oneOrMore(target()).describe("The audiences that accept: one or a list, exactly."),
  subject: ids("Whom tokens may be about, as patterns (see exports). *: everybody of the own trust domain."),
  scopes: setOf(scope(), { min: 0, max: 64 }).default([]).describe("All scopes that may be asked for. Default: none."),
  default_scopes: setOf(scope(), { min: 0, max: 64 })
    .optional()
    .describe("Scopes of a token when none are asked for, some of scopes. Default: scopes."),
  ttl: duration({ min: "10s", max: "24h" })
    .optional()
    .describe("The longest life of a token, at most jwt.ttl. Default: jwt.ttl."),
  algorithm: z
    .enum(["ES256", "RS256"])
    .default("ES256")
    .describe(
      "Signature algorithm that the audience verifies, also of JWT-SVIDs from the Workload API. Default ES256.",
    ),
  binding: oneOrMore(z.enum(["none", "dpop", "mtls"]))
    .default(["none"])
    .describe(
      "What tokens must be bound to: dpop (a DPoP key), mtls (the client certificate), one or a list; none: nothing. Default none.",
    ),
  mode: modes().describe("Modes that are accepted (see exports). One or a list. Default self."),
  product: oneOrMore(z.enum(["access-token", "jwt-svid", "x509-svid"]))
    .default(["access-token"])
    .describe(
      "What may be issued: access-token, jwt-svid, x509-svid (its audience is the ID of the trust domain). One or a list. Default access-token.",
    ),
  grant: oneOrMore(z.enum(GRANTS))
    .default([...GRANTS])
    .describe(
      "Grant types that are accepted: client_credentials, token-exchange, jwt-bearer. One or a list. Default: all.",
    ),
  client: ids("Who may ask, as patterns. Default: whoever the exports let ask.").optional(),
  actor: ids("Who may be the newest actor, as patterns. Default: whoever the exports let act.").optional(),
  may_outlive_subject: z
    .boolean()
    .default(false)
    .describe("Let an exchanged token live longer than the subject token. Default false."),
  when: condition(),
})

/** The two sides of the token policy. @see TX-19 */
export const tokenRulesSchema = z
  .strictObject({
    exports: z.array(exportSchema).max(10_000).default([]).describe("The source's side: whose tokens may go where."),
    accepts: z.array(acceptSchema).max(10_000).default([]).describe("The target's side: what it takes, and from whom."),
  })
  .prefault({})
  .describe(
    "Which tokens the token endpoint gives: those that one export and one accept both cover, the first of each. Default: none. Reloadable.",
  )

function ids(description: string) {
  return oneOrMore(text(2048)).describe(description)
}

function modes() {
  return oneOrMore(z.enum(["self", "impersonation", "delegation"])).default(["self"])
}

function target() {
  return text(1024)
}

function scope() {
  return text(256).regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a scope: printable ASCII without space, " and \\')
}

function condition() {
  return text(4096)
    .optional()
    .describe(
      'CEL condition over subject, client, actor and request, e.g. request.ttl <= 60 || subject.path.startsWith("/ops/"). One that fails is no match. Default: always.',
    )
}
