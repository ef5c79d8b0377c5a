import type { Metadata, ServiceError, StatusObject } from "@grpc/grpc-js"

/** What a handler of a unary method may use of its call, whoever took it. */
export interface UnaryCall<Request> {
  readonly request: Request
  readonly metadata: Pick<Metadata, "get">
  /** SHA-256, in hex, of the certificate that this side shows on the connection; `undefined` where that cannot be told. */
  readonly shown?: string | undefined
  /** The caller went away, or its deadline passed. */
  once(event: "cancelled", listener: () => void): unknown
}

export type UnaryReply<Response> = (error: Partial<ServiceError | StatusObject> | null, value?: Response) => void
export type HandleUnary<Request, Response> = (call: UnaryCall<Request>, reply: UnaryReply<Response>) => void
