import { IdentityError } from "../../core/errors.ts"
import { isJsonObject, type Json, type JsonObject, parseJsonObject } from "../../core/json.ts"
import type { TokenReviewer, TokenReviewResult } from "../../ports/kube.ts"
import type { KubeEndpoint } from "./kube-endpoint.ts"
import { sendKubeRequest } from "./kube-request.ts"

/** TokenReview v1 of an API server. Our own credentials there need `create` on `tokenreviews`, nothing else. @see ATT-08 */
export function makeTokenReviewer(endpoint: KubeEndpoint): TokenReviewer {
  return {
    review: async (token, audiences, signal) => {
      if (audiences.length === 0) throw new RangeError("TokenReview without an audience")
      const body = JSON.stringify({ apiVersion: API_VERSION, kind: KIND, spec: { token, audiences } })
      const reply = await sendKubeRequest(endpoint, { path: PATH, body }, signal)
      // An error says nothing about the token: it is an outage, never "not authenticated".
      if (reply.status !== 201 && reply.status !== 200) throw down(`TokenReview answered with status ${reply.status}`)
      return parseReply(reply.body)
    },
  }
}

function parseReply(body: string): TokenReviewResult {
  try {
    const { apiVersion, kind, status } = parseJsonObject(body)
    if (apiVersion !== API_VERSION || kind !== KIND || !isJsonObject(status)) throw malformed("reply is no TokenReview")
    return parseStatus(status)
  } catch (cause) {
    throw down("TokenReview gave a reply that cannot be read", cause)
  }
}

/** Members that are absent read as empty, as the API leaves out what is empty. */
function parseStatus(status: JsonObject): TokenReviewResult {
  const { authenticated = false, error = "", audiences = [], user = {} } = status
  if (typeof authenticated !== "boolean" || !isJsonObject(user))
    throw malformed("reply has a status of the wrong shape")
  const { extra = {} } = user
  if (!isJsonObject(extra)) throw malformed("reply has extra values of the wrong shape")
  return {
    authenticated,
    error: text(error),
    username: text(user["username"] ?? ""),
    uid: text(user["uid"] ?? ""),
    audiences: texts(audiences),
    extra: Object.fromEntries(Object.entries(extra).map(([name, values]) => [name, texts(values)])),
  }
}

function text(value: Json): string {
  if (typeof value !== "string") throw malformed("reply has a value that is not a text")
  return value
}

function texts(value: Json): readonly string[] {
  if (!Array.isArray(value)) throw malformed("reply has a value that is not a list")
  return value.map(text)
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

function down(message: string, cause?: unknown): IdentityError {
  return new IdentityError("attestor-down", "the cluster did not answer", { cause: cause ?? new Error(message) })
}

const API_VERSION = "authentication.k8s.io/v1"
const KIND = "TokenReview"
const PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
