import type { IncomingMessage } from "node:http"
import type { OperatorCredentials } from "../../app/admin/authenticate-operator.ts"
import { IdentityError } from "../../core/errors.ts"
import { clientChain } from "../http/client-chain.ts"

/** What a request over TLS shows of its sender. @throws IdentityError `unauthenticated` for another scheme than Bearer */
export function shownCredentials(request: IncomingMessage): OperatorCredentials {
  const headers = request.headersDistinct["authorization"]
  const chain = clientChain(request)
  if (headers === undefined) return { chain, token: undefined }
  const [, token] = BEARER.exec(headers.length === 1 ? (headers[0] ?? "") : "") ?? []
  if (token !== undefined) return { chain, token }
  throw new IdentityError("unauthenticated", "authorization is not one bearer token", {
    reason: "authorization-malformed",
    next: "send authorization: Bearer <token>",
  })
}

/** RFC 6750 section 2.1. Its length is bounded as that of all headers is. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i
