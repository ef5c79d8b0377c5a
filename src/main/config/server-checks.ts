import { resolve } from "node:path"
import { SVID_LIVES } from "../../core/authority/new-authority.ts"
import { toIdentityError } from "../../core/errors.ts"
import { hasPublishablePath } from "../../core/oauth/publication.ts"
import { parseIdPattern } from "../../core/rules/id-pattern.ts"
import type { RuleProblem } from "../../core/rules/rule.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import type { ServerDocument } from "./server-config.ts"

/** What no single key can tell: keys that contradict each other. @see CFG-05 */
export function checkServer(document: ServerDocument): readonly RuleProblem[] {
  return [
    ...lifetimes(document),
    ...clusters(document),
    ...ruleReferences(document),
    ...federation(document),
    ...limits(document),
    ...oauth(document),
    ...admin(document),
  ]
}

function* lifetimes({ x509, issuing, root, jwt, rules, token_rules }: ServerDocument): Generator<RuleProblem> {
  const half = Math.floor(issuing.ttl / 2)
  const message = `must be at most half of issuing.ttl (${half}s), as no SVID outlives the authority that signed it`
  if (x509.ttl > half) yield { path: ["x509", "ttl"], message }
  for (const [i, rule] of rules.entries()) {
    if ((rule.x509_ttl ?? 0) > half) yield { path: ["rules", i, "x509_ttl"], message }
    if ((rule.jwt_ttl ?? 0) > jwt.ttl) yield { path: ["rules", i, "jwt_ttl"], message: RULE_JWT_MESSAGE }
  }
  for (const [i, rule] of token_rules.accepts.entries()) {
    if ((rule.ttl ?? 0) > jwt.ttl) yield { path: ["token_rules", "accepts", i, "ttl"], message: RULE_JWT_MESSAGE }
  }
  if (issuing.ttl > root.ttl / 2) yield { path: ["issuing", "ttl"], message: "must be at most half of root.ttl" }
  const longest = Math.max(x509.ttl, ...rules.map((rule) => rule.x509_ttl ?? 0))
  const least = SVID_LIVES * longest + MAKING_A_ROOT
  if (root.ttl < least) {
    const why = "or no new root, not even that of an emergency, could ever take the place of the old one"
    yield {
      path: ["root", "ttl"],
      message: `must be at least ${least}s, six times the longest x509.ttl or x509_ttl of a rule and a minute, ${why}`,
    }
  }
  if (jwt.ttl > jwt.key_ttl) yield { path: ["jwt", "ttl"], message: JWT_MESSAGE }
  if (jwt.publish_ahead >= jwt.key_ttl) {
    yield { path: ["jwt", "publish_ahead"], message: "must be less than jwt.key_ttl, or the next key is never in time" }
  }
}

function* clusters({ clusters: all }: ServerDocument): Generator<RuleProblem> {
  for (const [i, cluster] of all.entries()) {
    const earlier = all.slice(0, i)
    if (earlier.some(({ name }) => name === cluster.name)) {
      yield { path: ["clusters", i, "name"], message: `there is a cluster "${cluster.name}" already` }
    }
    const keys = JSON.stringify(cluster.keys)
    const twin = earlier.find((other) => other.issuer === cluster.issuer && JSON.stringify(other.keys) === keys)
    if (twin !== undefined) {
      const message = `has the issuer and the keys of cluster "${twin.name}", so their tokens cannot be told apart`
      yield { path: ["clusters", i, "issuer"], message }
    }
    if (cluster.degraded_for > 0 && cluster.token_review.mode === "off") {
      yield { path: ["clusters", i, "degraded_for"], message: "has no meaning with token_review.mode off" }
    }
  }
}

function* ruleReferences({ rules, clusters: all, federation: domains }: ServerDocument): Generator<RuleProblem> {
  const names = new Set(all.map(({ name }) => name))
  const trusted = new Set<string>(domains.map(({ trust_domain }) => trust_domain))
  for (const [i, rule] of rules.entries()) {
    for (const name of rule.cluster ?? []) {
      if (!names.has(name)) yield { path: ["rules", i, "cluster"], message: `no cluster "${name}" is configured` }
    }
    for (const domain of rule.federates_with) {
      if (trusted.has(domain)) continue
      yield { path: ["rules", i, "federates_with"], message: `"${domain}" is not configured under federation` }
    }
  }
}

function* federation({ federation: all, trust_domain: own }: ServerDocument): Generator<RuleProblem> {
  for (const [i, { trust_domain, bundle_file }] of all.entries()) {
    const path = ["federation", i, "trust_domain"]
    const earlier = all.slice(0, i)
    if (isSameName(trust_domain, own)) yield { path, message: "is the own trust domain" }
    const twin = earlier.find((other) => isSameName(other.trust_domain, trust_domain))
    if (twin?.trust_domain === trust_domain) yield { path, message: "is there already" }
    else if (twin !== undefined) yield { path, message: `is "${twin.trust_domain}", which is there already` }
    const sharer = earlier.find((other) => resolve(other.bundle_file) === resolve(bundle_file))
    if (sharer === undefined) continue
    const message = `is the file of "${sharer.trust_domain}" as well: whoever signs for one would sign for both`
    yield { path: ["federation", i, "bundle_file"], message }
  }
}

/** A name of DNS is the same with a dot at its end. Upper case is no trust domain. @see CFG-23 */
function isSameName(one: TrustDomain, other: TrustDomain): boolean {
  return one.replace(/\.+$/, "") === other.replace(/\.+$/, "")
}

function* limits({ limits: bounds, listen }: ServerDocument): Generator<RuleProblem> {
  if (bounds.token_size + HEADER_ROOM > bounds.header_size) {
    yield { path: ["limits", "token_size"], message: "must leave 2KiB of limits.header_size for the other headers" }
  }
  if (bounds.csr_size >= bounds.message_size) {
    yield { path: ["limits", "csr_size"], message: "must be less than limits.message_size" }
  }
  if (bounds.identity_burst > bounds.global_burst) {
    yield { path: ["limits", "identity_burst"], message: "must be at most limits.global_burst" }
  }
  if (listen.grpc.port !== 0 && listen.grpc.port === listen.health.port) {
    yield { path: ["listen", "health"], message: "must have another port than listen.grpc" }
  }
}

function* oauth({ oauth: tokens, jwt, clusters: all, listen }: ServerDocument): Generator<RuleProblem> {
  if (tokens === undefined) return
  if (jwt.issuer !== undefined && jwt.issuer !== tokens.issuer) {
    yield { path: ["jwt", "issuer"], message: "must be the same as oauth.issuer, or be left out" }
  }
  for (const [name, port] of [
    ["grpc", listen.grpc.port],
    ["health", listen.health.port],
  ] as const) {
    if (port === 0 || port !== listen.https.port) continue
    yield { path: ["listen", "https"], message: `must have another port than listen.${name}` }
  }
  const issuers = new Set([tokens.issuer, ...all.map(({ issuer }) => issuer)])
  for (const [i, { issuer }] of tokens.external_issuers.entries()) {
    const path = ["oauth", "external_issuers", i, "issuer"]
    if (issuers.has(issuer)) yield { path, message: "is the issuer of this server, of a cluster, or of another entry" }
    issuers.add(issuer)
  }
  yield* publication(tokens, jwt)
  yield* twice(["oauth", "external_issuers"], tokens.external_issuers, "name")
  yield* twice(["oauth", "clients"], tokens.clients, "client_id")
  yield* twice(["oauth", "resources"], tokens.resources, "audience")
  for (const [i, { client_id }] of tokens.clients.entries()) {
    if (!issuers.has(client_id)) continue
    yield { path: ["oauth", "clients", i, "client_id"], message: "is the issuer of tokens as well" }
  }
}

function* publication(
  { issuer, publish }: NonNullable<ServerDocument["oauth"]>,
  jwt: ServerDocument["jwt"],
): Generator<RuleProblem> {
  if (publish.length > 0 && jwt.publish_ahead < MIN_PUBLISH_AHEAD) {
    const message = "must be at least 10m with oauth.publish, or keys sign before they are found there"
    yield { path: ["jwt", "publish_ahead"], message }
  }
  if (publish.length > 0 && !hasPublishablePath(issuer)) {
    yield { path: ["oauth", "publish"], message: "needs an oauth.issuer whose path can be that of a file" }
  }
  const places = publish.map((one) => (one.kind === "directory" ? one.directory : `${one.namespace}/${one.name}`))
  for (const [i, place] of places.entries()) {
    if (places.indexOf(place) < i) yield { path: ["oauth", "publish", i], message: "is there already" }
  }
}

function* admin(document: ServerDocument): Generator<RuleProblem> {
  const { admin: api, trust_domain: own, oauth: tokens } = document
  yield* twice(["admin", "roles"], api.roles, "name")
  yield* twice(["admin", "issuers"], api.issuers, "name")
  for (const [i, { prefixes = [], who }] of api.roles.entries()) {
    yield* badPattern(["admin", "roles", i, "who", "spiffe_id"], who.spiffe_id, own)
    for (const [at, prefix] of prefixes.entries()) yield* badPattern(["admin", "roles", i, "prefixes", at], prefix, own)
  }
  const audience = api.audience
  const path = ["admin", "audience"]
  if (audience !== undefined && tokens === undefined) yield { path, message: "has no meaning without oauth" }
  if (audience !== undefined && audience === tokens?.issuer) {
    yield { path, message: "must be another than oauth.issuer, for which many tokens are" }
  }
  for (const [i, entry] of api.issuers.entries()) {
    const at = ["admin", "issuers", i, "issuer"]
    if (entry.issuer === tokens?.issuer) yield { path: at, message: "is this server: use admin.audience" }
    const other = tokens?.external_issuers.find(({ issuer }) => issuer === entry.issuer)
    const shared = entry.audiences.find((one) => other?.audiences.includes(one) === true)
    if (shared === undefined) continue
    yield {
      path: ["admin", "issuers", i, "audiences"],
      message: `"${shared}" is one of oauth.external_issuers as well`,
    }
  }
  yield* adminPort(document)
}

function* adminPort({ listen, oauth: tokens }: ServerDocument): Generator<RuleProblem> {
  const others = [
    ["grpc", listen.grpc.port],
    ["health", listen.health.port],
    ["https", tokens === undefined ? 0 : listen.https.port],
  ] as const
  for (const [name, port] of others) {
    if (port === 0 || port !== listen.admin?.port) continue
    yield { path: ["listen", "admin"], message: `must have another port than listen.${name}` }
  }
}

function* badPattern(path: RuleProblem["path"], pattern: string | undefined, own: TrustDomain): Generator<RuleProblem> {
  try {
    if (pattern !== undefined) parseIdPattern(pattern, own)
  } catch (thrown) {
    yield { path, message: toIdentityError(thrown).message }
  }
}

/** Entries of a list that have the same `key`. */
function* twice<Key extends string>(
  path: readonly string[],
  list: readonly { readonly [K in Key]: string }[],
  key: Key,
): Generator<RuleProblem> {
  const seen = new Set<string>()
  for (const [i, entry] of list.entries()) {
    if (seen.has(entry[key])) yield { path: [...path, i, key], message: "is there already" }
    seen.add(entry[key])
  }
}

const JWT_MESSAGE = "must be at most jwt.key_ttl"
const RULE_JWT_MESSAGE =
  "must be at most jwt.ttl, for which retired JWT keys stay published: raise jwt.ttl and lower that of the other rules"
const HEADER_ROOM = 2048
/** Seconds between the moment from which a root is valid and the step that takes it. */
const MAKING_A_ROOT = 60
/** Seconds; some tries to write, and the caches of relying parties. */
const MIN_PUBLISH_AHEAD = 600
