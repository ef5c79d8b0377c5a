import { hash } from "node:crypto"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { ClientPair } from "./https-fetch.ts"
import type { PipelineUnderTest } from "./server-under-test.ts"
import { makeKeyPair } from "./test-ca.ts"
import { makeTestCsr } from "./test-csr.ts"

export interface X509Client {
  readonly client: ClientPair
  /** SHA-256 of the leaf, base64url. */
  readonly leafDigest: string
  readonly notAfter: number
}

/** A fresh X.509-SVID of a service account in namespace `shop`, for handshakes. */
export async function openX509Client(server: PipelineUnderTest, serviceAccount: string): Promise<X509Client> {
  const token = server.setup.token({ serviceAccount })
  const keyPair = makeKeyPair()
  const key = { kind: "csr", der: makeTestCsr({ keyPair }) } as const
  const order = { token, key, spiffeId: undefined, ttl: undefined, requestId: "test" }
  const svid = await server.pipeline.issueX509(order, new AbortController().signal)
  const cert = svid.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  const pkcs8 = keyPair.privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  const leafDigest = hash("sha256", svid.chain[0] ?? Buffer.alloc(0), "base64url")
  return { client: { cert, key: pkcs8 }, leafDigest, notAfter: svid.notAfter }
}
