import type { JsonObject } from "../json.ts"
import { type TrustDomain, trustDomainId } from "../spiffe/id.ts"

/** What a kube-apiserver is to trust. */
export interface KubeTrust {
  readonly issuer: string
  readonly trustDomain: TrustDomain
  /** Not empty: what tokens for this API server are for. A token needs one of them. */
  readonly audiences: readonly string[]
  /** Where the API server finds the discovery document, when not at the issuer's own address. */
  readonly discoveryUrl: string | undefined
  /** PEM roots for the fetch of discovery and keys; `undefined`: those of the API server's machine. */
  readonly certificateAuthority: string | undefined
}

/**
 * The AuthenticationConfiguration by which a kube-apiserver (1.34 or later) takes tokens of this issuer as users: the SPIFFE ID is the
 * user's name, and the trust domain and the namespace are groups. @see KAS-01 KAS-03
 */
export function kubeAuthentication(trust: KubeTrust): JsonObject {
  const { issuer: url, audiences, discoveryUrl: discoveryURL, certificateAuthority } = trust
  const domain = trustDomainId(trust.trustDomain)
  const entry = {
    issuer: {
      url,
      ...(discoveryURL === undefined ? {} : { discoveryURL }),
      ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
      audiences,
      audienceMatchPolicy: "MatchAny",
    },
    claimValidationRules: claimRules(domain),
    claimMappings: {
      username: { expression: "claims.sub" },
      groups: { expression: groupsOf(domain) },
      uid: { expression: "claims.sub" },
      extra: EXTRA,
    },
    userValidationRules: USER_RULES,
  }
  return { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt: [entry] }
}

function claimRules(domain: string) {
  return [
    { expression: `claims.sub.startsWith('${domain}/')`, message: `the subject is no workload of ${domain}` },
    // The API server asks for no proof of possession, so a stolen token would be as good as the key.
    { expression: "!has(claims.cnf)", message: "the token is bound to a key, which the API server does not check" },
    { expression: `claims.exp - claims.nbf <= ${LONGEST_LIFE}`, message: "the token lives longer than a day" },
  ]
}

function groupsOf(domain: string): string {
  const namespace = `'${domain}/ns/' + claims.sub.split('/')[4]`
  return `claims.sub.startsWith('${domain}/ns/') ? ['${domain}', ${namespace}] : ['${domain}']`
}

/** Seen by admission policies and in the audit log. Nothing is there for what a token does not say. */
const EXTRA = [
  { key: "assay/client-id", valueExpression: "claims.?client_id.orValue('')" },
  { key: "assay/scope", valueExpression: "claims.?scope.orValue('').split(' ').filter(scope, scope != '')" },
  { key: "assay/actor", valueExpression: "has(claims.act) ? claims.act.sub : ''" },
]
const USER_RULES = [
  { expression: "!user.username.startsWith('system:')", message: "the name is one of Kubernetes itself" },
  {
    expression: "user.groups.all(group, !group.startsWith('system:'))",
    message: "a group is one of Kubernetes itself",
  },
]
/** Seconds; what Assay can be configured to give at most. */
const LONGEST_LIFE = 86_400
