import { credentials, Metadata, type ServiceError } from "@grpc/grpc-js"
import { IdentityClient, type IssueJwtResponse } from "../../src/gen/assay/v1/identity.ts"
import { ErrorInfo } from "../../src/gen/google/rpc/error_details.ts"
import { Status } from "../../src/gen/google/rpc/status.ts"
import type { AssayServer } from "./assay-process.ts"

/** The identity that a token gets, or the reason for which it gets none. */
export type Verdict =
  | { readonly spiffeId: string; readonly svid: string }
  | { readonly status: number; readonly code: string; readonly reason: string }

/** Ask a server for a JWT-SVID with a platform token, as an agent does. */
export async function askForJwt(server: AssayServer, token: string): Promise<Verdict> {
  const client = new IdentityClient(server.address, credentials.createSsl(Buffer.from(server.roots)), NAMED)
  const metadata = new Metadata()
  metadata.set("authorization", `Bearer ${token}`)
  const request = { spiffeId: "", audience: ["db"], token: "", ttlSeconds: 0 }
  const deadline = Date.now() + CALL_MILLIS
  const { promise, resolve, reject } = Promise.withResolvers<Verdict>()
  client.issueJwt(request, metadata, { deadline }, (failure: ServiceError | null, reply: IssueJwtResponse) => {
    if (failure === null) return resolve({ spiffeId: reply.spiffeId, svid: reply.svid })
    const refusal = refusalOf(failure)
    // A failure that is not the server's answer, e.g. no connection, is none of the test's verdicts.
    if (refusal === undefined) reject(failure)
    else resolve(refusal)
  })
  return await promise.finally(() => client.close())
}

function refusalOf(failure: ServiceError): Verdict | undefined {
  const [details] = failure.metadata.get("grpc-status-details-bin")
  if (!(details instanceof Buffer)) return undefined
  const info = Status.decode(details).details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"))
  if (info === undefined) return undefined
  const { reason, metadata } = ErrorInfo.decode(info.value)
  return { status: failure.code, code: metadata["code"] ?? "", reason }
}

/** A server name may not be an IP address. */
const NAMED = { "grpc.ssl_target_name_override": "localhost", "grpc.default_authority": "localhost" }
const CALL_MILLIS = 20_000
