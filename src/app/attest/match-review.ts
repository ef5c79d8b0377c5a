import type { IdentityError } from "../../core/errors.ts"
import { serviceAccountUsername } from "../../core/kube/service-account-claims.ts"
import type { TokenReviewResult } from "../../ports/kube.ts"
import { attestationRefusal } from "./attestation-refusal.ts"
import type { VerifiedToken } from "./verify-token.ts"

/** Compare what the cluster says about a token with what the token says. `undefined`: they agree. @see ATT-08 INV-15 KC-06 */
export function matchReview(review: TokenReviewResult, token: VerifiedToken): IdentityError | undefined {
  // An answer that says both yes and an error is no yes.
  if (!review.authenticated || review.error !== "") {
    const cause = new Error(`TokenReview: ${review.error.slice(0, MAX_CAUSE)}`)
    return attestationRefusal(token.claims.pod === undefined ? "review-denied" : "pod-deleted", cause)
  }
  if (!review.audiences.some((audience) => token.cluster.audiences.includes(audience))) {
    return attestationRefusal("review-audience-mismatch")
  }
  const difference = FACTS.find((fact) => !fact.holds(review, token))
  return difference && attestationRefusal("review-mismatch", new Error(`TokenReview: ${difference.name} differs`))
}

interface Fact {
  readonly name: string
  holds(review: TokenReviewResult, token: VerifiedToken): boolean
}

/** The extra value under `key` is exactly `expected`: absent when that is `undefined`. */
function extraIs(review: TokenReviewResult, key: string, expected: string | undefined): boolean {
  const values = review.extra[`${EXTRA}${key}`] ?? []
  return expected === undefined ? values.length === 0 : values.length === 1 && values[0] === expected
}

const EXTRA = "authentication.kubernetes.io/"
const MAX_CAUSE = 512
const FACTS: readonly Fact[] = [
  {
    name: "username",
    holds: ({ username }, { claims }) =>
      username === serviceAccountUsername(claims.namespace, claims.serviceAccount.name),
  },
  { name: "uid", holds: ({ uid }, { claims }) => uid === claims.serviceAccount.uid },
  { name: "pod name", holds: (review, { claims }) => extraIs(review, "pod-name", claims.pod?.name) },
  { name: "pod uid", holds: (review, { claims }) => extraIs(review, "pod-uid", claims.pod?.uid) },
  {
    name: "node name",
    holds: (review, { claims }) => claims.node === undefined || extraIs(review, "node-name", claims.node.name),
  },
  {
    name: "node uid",
    holds: (review, { claims }) => claims.node === undefined || extraIs(review, "node-uid", claims.node.uid),
  },
  {
    // Clusters before 1.29 do not return it; the other facts bind the answer to the token then.
    name: "credential id",
    holds: (review, { claims }) =>
      claims.tokenId === undefined ||
      extraIs(review, "credential-id", undefined) ||
      extraIs(review, "credential-id", `JTI=${claims.tokenId}`),
  },
]
