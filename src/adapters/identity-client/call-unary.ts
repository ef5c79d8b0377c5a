import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError } from "@grpc/grpc-js"
import type { Millis } from "../../core/time.ts"

/** A unary method of a generated client. */
export type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

/** One call with a deadline. `token` undefined: an unauthenticated one. Rejects with grpc-js's ServiceError. @see AGT-35 */
export function callUnary<Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
  token: string | undefined,
  timeout: Millis,
  signal: AbortSignal,
): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const call = method(request, bearer(token), { deadline: Date.now() + timeout }, (error, response) => {
    signal.removeEventListener("abort", cancel)
    if (error === null) resolve(response)
    else reject(error)
  })
  const cancel = (): void => call.cancel()
  signal.addEventListener("abort", cancel)
  if (signal.aborted) cancel()
  return promise
}

export function bearer(token: string | undefined): Metadata {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`)
  return metadata
}
