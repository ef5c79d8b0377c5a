import { z } from "zod"
import { duration } from "./units.ts"
import { clusterUrl, label, path, setOf, text } from "./values.ts"

/** Where the public keys of a cluster come from. */
export type ClusterKeySource =
  | { readonly kind: "jwks-file"; readonly file: string }
  | {
      readonly kind: "jwks-url"
      readonly url: string
      readonly caFile: string | undefined
      readonly tokenFile: string | undefined
    }
  | { readonly kind: "kubeconfig"; readonly file: string; readonly context: string | undefined }

/** How the cluster is asked about tokens. */
export type ReviewSource =
  | { readonly kind: "kubeconfig"; readonly file: string; readonly context: string | undefined }
  | {
      readonly kind: "url"
      readonly url: string
      readonly caFile: string | undefined
      readonly tokenFile: string | undefined
    }

const keys = z
  .strictObject({
    jwks_file: path().optional().describe("File with a JWK set; read again when it changes."),
    jwks_url: clusterUrl().optional().describe("https URL of the JWK set, usually <API server>/openid/v1/jwks."),
    ca_file: path().optional().describe("PEM roots that the server at jwks_url is verified by. Default: the system's."),
    token_file: path().optional().describe("Bearer token for jwks_url, read again for each request. Default: none."),
    kubeconfig: path()
      .optional()
      .describe("kubeconfig of the cluster; its JWKS endpoint is asked with its credentials."),
    context: text(253).optional().describe("Context of the kubeconfig. Default: its current one."),
  })
  .transform((raw, context): ClusterKeySource => {
    const given = [raw.jwks_file, raw.jwks_url, raw.kubeconfig].filter((value) => value !== undefined)
    if (given.length !== 1) {
      context.addIssue({ code: "custom", message: "needs exactly one of jwks_file, jwks_url and kubeconfig" })
      return z.NEVER
    }
    if (raw.jwks_url === undefined) refuseWith(context, raw, ["ca_file", "token_file"], "jwks_url")
    if (raw.kubeconfig === undefined) refuseWith(context, raw, ["context"], "kubeconfig")
    if (raw.jwks_file !== undefined) return { kind: "jwks-file", file: raw.jwks_file }
    if (raw.kubeconfig !== undefined) return { kind: "kubeconfig", file: raw.kubeconfig, context: raw.context }
    return { kind: "jwks-url", url: raw.jwks_url ?? "", caFile: raw.ca_file, tokenFile: raw.token_file }
  })
  .describe(
    "Where the keys that sign the cluster's tokens come from: exactly one of jwks_file, jwks_url and kubeconfig.",
  )

/** A JWK set of somebody who is no cluster. */
export const keySetSchema = z
  .strictObject({
    jwks_file: path().optional().describe("File with a JWK set; read again when it changes."),
    jwks_url: clusterUrl().optional().describe("https URL of the JWK set."),
    ca_file: path().optional().describe("PEM roots that the server at jwks_url is verified by. Default: the system's."),
  })
  .transform((raw, context): ClusterKeySource => {
    if ((raw.jwks_file === undefined) === (raw.jwks_url === undefined)) {
      context.addIssue({ code: "custom", message: "needs exactly one of jwks_file and jwks_url" })
      return z.NEVER
    }
    if (raw.jwks_url === undefined) refuseWith(context, raw, ["ca_file"], "jwks_url")
    if (raw.jwks_file !== undefined) return { kind: "jwks-file", file: raw.jwks_file }
    return { kind: "jwks-url", url: raw.jwks_url ?? "", caFile: raw.ca_file, tokenFile: undefined }
  })

const review = z
  .strictObject({
    mode: z
      .enum(["off", "bootstrap", "always"])
      .default("bootstrap")
      .describe(
        "Whether the cluster is asked about a token that verifies: off (a deleted pod keeps its identity until the token expires), bootstrap (until the pod holds a live SVID) or always. Default bootstrap.",
      ),
    url: clusterUrl().optional().describe("https URL of the API server, without path. Excludes kubeconfig."),
    ca_file: path().optional().describe("PEM roots that the server at url is verified by. Default: the system's."),
    token_file: path().optional().describe("Bearer token that may create TokenReviews, read again for each request."),
    kubeconfig: path().optional().describe("kubeconfig with which TokenReviews are made. Default: that of keys."),
    context: text(253).optional().describe("Context of the kubeconfig. Default: its current one."),
  })
  .describe("TokenReview: asking the cluster whether a token is still good.")

const bounds = z
  .strictObject({
    namespaces: setOf(text(63), { min: 1, max: 1024 })
      .optional()
      .describe("Namespaces whose pods can get an identity. Default: all."),
    path_prefix: text(512)
      .regex(/^(?:\/[A-Za-z0-9._-]+)+$/, 'must be a path such as "/cluster-a", without a final slash')
      .optional()
      .describe("Each ID of this cluster has this path or one below it. Default: any path."),
    shared: z
      .boolean()
      .default(false)
      .describe("Accept that another cluster, which says so too, can mint the same IDs. Default false."),
  })
  .prefault({})
  .describe(
    "What the cluster can be given whatever the rules say, so that one cluster cannot mint another's identities.",
  )

/** A cluster whose service-account tokens are accepted. */
export const clusterSchema = z
  .strictObject({
    name: label().describe("Name of the cluster in rules, log and audit. Unique."),
    issuer: text(2048).describe(
      "iss of its tokens, compared as text. Clusters may share one; then their keys tell them apart.",
    ),
    audiences: setOf(text(255), { min: 1, max: 16 }).describe(
      "Audiences of tokens made for Assay. A token must be for one or more of these and for nobody else.",
    ),
    keys,
    token_review: review.prefault({}),
    require_bound_pod: z
      .boolean()
      .default(true)
      .describe("Refuse a token that is not bound to a pod. false weakens security. Default true."),
    require_bound_node: z
      .boolean()
      .default(true)
      .describe("Refuse a token that is not bound to a node. false suits clusters before 1.32. Default true."),
    one_agent_per_pod: z
      .boolean()
      .default(false)
      .describe(
        "Each pod has one agent: a certificate that is asked for without naming the one held takes the place of all before, and who renews one of those is an incident. Finds out stolen tokens; not for pods with several agents. Default false.",
      ),
    degraded_for: duration({ min: "0s", max: "24h" })
      .prefault("0s")
      .describe(
        "How long after TokenReview stopped answering pods with a live SVID may still renew; audited. Default 0s: not at all.",
      ),
    bounds,
  })
  .transform((raw, context) => ({ ...raw, token_review: reviewOf(raw.token_review, raw.keys, context) }))

export interface ReviewConfig {
  readonly mode: "bootstrap" | "always"
  readonly source: ReviewSource
}

type RawReview = z.output<typeof review>

function reviewOf(
  raw: RawReview,
  keySource: ClusterKeySource,
  context: z.RefinementCtx,
): ReviewConfig | { mode: "off" } {
  if (raw.mode === "off") return { mode: "off" }
  if (raw.url !== undefined && raw.kubeconfig !== undefined) {
    context.addIssue({ code: "custom", path: ["token_review"], message: "url and kubeconfig exclude each other" })
    return z.NEVER
  }
  const source = reviewSource(raw, keySource)
  if (source === undefined) {
    const message =
      'needs url or kubeconfig (or mode "off", with which deleted pods keep their identity until their token expires)'
    context.addIssue({ code: "custom", path: ["token_review"], message })
    return z.NEVER
  }
  return { mode: raw.mode, source }
}

function reviewSource(raw: RawReview, keySource: ClusterKeySource): ReviewSource | undefined {
  if (raw.url !== undefined) return { kind: "url", url: raw.url, caFile: raw.ca_file, tokenFile: raw.token_file }
  if (raw.kubeconfig !== undefined) return { kind: "kubeconfig", file: raw.kubeconfig, context: raw.context }
  return keySource.kind === "kubeconfig" ? keySource : undefined
}

function refuseWith(context: z.RefinementCtx, raw: object, names: readonly string[], needed: string): void {
  for (const name of names) {
    if (!Object.hasOwn(raw, name)) continue
    context.addIssue({ code: "custom", path: [name], message: `has no meaning without ${needed}` })
  }
}
