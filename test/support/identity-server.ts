import { type Metadata, Server, ServerCredentials } from "@grpc/grpc-js"
import { encodePem } from "../../src/core/x509/pem.ts"
import { type IdentityServer, IdentityService, type SubscribeRequest } from "../../src/gen/assay/v1/identity.ts"
import type { LeafOptions, TestCa } from "./test-ca.ts"

/** An in-process `assay.v1.Identity` over real TLS that remembers what it was sent. */
export interface TestIdentityServer extends AsyncDisposable {
  readonly port: number
  /** Per call: method and authorization header. */
  readonly calls: { readonly method: string; readonly authorization: string | undefined }[]
  readonly received: SubscribeRequest[]
}

/** @param told whose root is in the bundles that it sends; default: that of its own certificate */
export async function startIdentityServer(
  ca: TestCa,
  spiffeId: string,
  handlers: Partial<IdentityServer> = {},
  port = 0,
  leafOptions: LeafOptions = {},
  told = ca,
): Promise<TestIdentityServer> {
  const leaf = ca.issueLeaf(spiffeId, leafOptions)
  const pair = {
    cert_chain: Buffer.from(leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join("")),
    private_key: Buffer.from(encodePem("PRIVATE KEY", leaf.pkcs8)),
  }
  const calls: { method: string; authorization: string | undefined }[] = []
  const received: SubscribeRequest[] = []
  const note = (method: string, metadata: Metadata) =>
    calls.push({ method, authorization: metadata.get("authorization")[0]?.toString() })
  const bundle = {
    trustDomain: ca.trustDomain,
    x509Authorities: [Buffer.from(told.root.certificate.der)],
    jwtAuthorities: Buffer.from('{"keys":[]}'),
    sequence: 1,
    refreshHintSeconds: 0,
  }
  const server = new Server()
  const unused = () => undefined
  server.addService(IdentityService, {
    fetchBundle: (call, reply) => {
      note("fetchBundle", call.metadata)
      reply(null, { bundle })
    },
    issueX509: unused,
    issueJwt: unused,
    batchIssueX509: unused,
    batchIssueJwt: (call, reply) => {
      note("batchIssueJwt", call.metadata)
      const results = call.request.items.map(({ spiffeId, audience }) => ({
        result: { $case: "issued", value: { spiffeId, svid: audience.join(), hint: "", expiresAt: 1 } } as const,
      }))
      reply(null, { results })
    },
    subscribe: (stream) => {
      note("subscribe", stream.metadata)
      stream.on("data", (request: SubscribeRequest) => received.push(request))
      stream.on("error", unused)
      const value = { epoch: 1, incarnation: "i", bundle, federated: [], identities: [] }
      stream.write({ message: { $case: "snapshot", value } })
    },
    ...handlers,
  } satisfies IdentityServer)
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createSsl(null, [pair]), (error, at) =>
      error === null ? resolve(at) : reject(error),
    )
  })
  return { port: bound, calls, received, [Symbol.asyncDispose]: async () => server.forceShutdown() }
}
