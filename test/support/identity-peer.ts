import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { type CallOptions, type ClientUnaryCall, credentials, Metadata, type ServiceError } from "@grpc/grpc-js"
import { provenKeyMessage } from "../../src/core/x509/csr.ts"
import {
  type BatchIssueJwtResponse,
  type BatchIssueX509Response,
  type FetchBundleResponse,
  IdentityClient,
  type IssueJwtRequest,
  type IssueJwtResponse,
  type IssueX509Request,
  type IssueX509Response,
} from "../../src/gen/assay/v1/identity.ts"
import { ErrorInfo, RetryInfo } from "../../src/gen/google/rpc/error_details.ts"
import { Status } from "../../src/gen/google/rpc/status.ts"

/** What a call failed with, as `google.rpc.Status` says. */
export interface Failure {
  readonly status: number
  /** Error code of `spec/90-errors.md`; empty when the status is not from a handler of ours. */
  readonly code: string
  readonly reason: string
  readonly requestId: string
  /** Seconds; `undefined` when there is no RetryInfo. */
  readonly retryAfter: number | undefined
  readonly message: string
}

type Send<Response> = (
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

/** A client of `assay.v1.Identity` on one connection of its own. */
export class IdentityPeer implements Disposable {
  readonly client: IdentityClient

  constructor(server: { readonly address: string; readonly roots: string }) {
    this.client = new IdentityClient(server.address, credentials.createSsl(Buffer.from(server.roots)), {
      // Node refuses an address as the name of TLS; it is in the certificate as well.
      "grpc.ssl_target_name_override": "localhost",
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
    })
  }

  x509(request: Partial<IssueX509Request>, token?: string) {
    return this.#call<IssueX509Response>((...rest) => this.client.issueX509({ ...X509, ...request }, ...rest), token)
  }

  jwt(request: Partial<IssueJwtRequest> = {}, token?: string) {
    return this.#call<IssueJwtResponse>((...rest) => this.client.issueJwt({ ...JWT, ...request }, ...rest), token)
  }

  batchX509(items: readonly Partial<IssueX509Request>[], token?: string) {
    const request = { items: items.map((item) => ({ ...X509, ...item })) }
    return this.#call<BatchIssueX509Response>((...rest) => this.client.batchIssueX509(request, ...rest), token)
  }

  batchJwt(items: readonly Partial<IssueJwtRequest>[], token?: string) {
    const request = { items: items.map((item) => ({ ...JWT, ...item })) }
    return this.#call<BatchIssueJwtResponse>((...rest) => this.client.batchIssueJwt(request, ...rest), token)
  }

  fetchBundle() {
    return this.#call<FetchBundleResponse>((...rest) => this.client.fetchBundle({}, ...rest), undefined)
  }

  /** @throws ServiceError */
  #call<Response>(send: Send<Response>, token: string | undefined): Promise<Response> {
    return new Promise((resolve, reject) => {
      send(bearer(token), { deadline: Date.now() + CALL_MILLIS }, (error, response) => {
        if (error === null) resolve(response)
        else reject(error)
      })
    })
  }

  [Symbol.dispose](): void {
    this.client.close()
  }
}

export function bearer(token: string | undefined): Metadata {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`)
  return metadata
}

/** The failure of a call that must fail. @throws Error when it succeeds */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  try {
    await call
  } catch (thrown) {
    if (isServiceError(thrown)) return describeFailure(thrown)
    throw thrown
  }
  throw new Error("the call succeeded")
}

export function describeFailure(error: ServiceError): Failure {
  const [bytes] = error.metadata.get("grpc-status-details-bin")
  const details = bytes instanceof Buffer ? Status.decode(bytes).details : []
  const info = details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"))
  const retry = details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.RetryInfo"))
  const { reason, metadata } = ErrorInfo.decode(info?.value ?? Buffer.alloc(0))
  return {
    status: error.code,
    code: metadata["code"] ?? "",
    reason,
    requestId: metadata["requestId"] ?? "",
    retryAfter: retry === undefined ? undefined : RetryInfo.decode(retry.value).retryDelay?.seconds,
    message: error.details,
  }
}

export function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && "metadata" in thrown && "code" in thrown && "details" in thrown
}

export interface ProvenKeyPair {
  readonly publicKey: Buffer
  readonly proof: Buffer
  readonly privateKey: KeyObject
}

/** A fresh P-256 key with its proof of possession for `token`. */
export function proveFreshKey(token: string): ProvenKeyPair {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const publicKey = pair.publicKey.export({ format: "der", type: "spki" })
  const digest = createHash("sha256").update(token).digest()
  const proof = sign("sha256", provenKeyMessage(digest, publicKey), pair.privateKey)
  return { publicKey, proof, privateKey: pair.privateKey }
}

/** A request's `key` with a fresh key. */
export function provenKey(token: string): Exclude<IssueX509Request["key"], undefined> {
  const { publicKey, proof } = proveFreshKey(token)
  return { $case: "provenKey", value: { publicKey, proof } }
}

export const X509: IssueX509Request = {
  spiffeId: "",
  key: undefined,
  token: "",
  ttlSeconds: 0,
  withBundle: false,
  bundleEpoch: 0,
  renews: "",
}
export const JWT: IssueJwtRequest = { spiffeId: "", audience: ["db"], token: "", ttlSeconds: 0 }
const CALL_MILLIS = 60_000
