import { createHash, type KeyObject, sign } from "node:crypto"
import { provenKeyMessage } from "../../src/core/x509/csr.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { IssueX509Request } from "../../src/gen/assay/v1/identity.ts"
import type { IdentityPeer } from "./identity-peer.ts"
import type { ServerSetup } from "./server-setup.ts"
import { makeKeyPair, type TestKeyPair } from "./test-ca.ts"
import { makeTestCsr } from "./test-csr.ts"

export interface ChainOrder {
  readonly keys: "p256" | "p384" | "rsa"
  /** How possession of the key is shown. */
  readonly proof: "csr" | "proven-key"
  readonly serviceAccount: string
}

/** What a server gave for an order. */
export interface IssuedChain {
  /** For messages and file names: `p256-csr-web`. */
  readonly name: string
  readonly spiffeId: string
  /** DER: leaf, issuing authority. */
  readonly chain: readonly Buffer[]
  /** PEM of the chain. */
  readonly pem: string
  readonly privateKey: KeyObject
}

/** Have a real server issue a certificate for a fresh key and a fresh pod. */
export async function issueChain(peer: IdentityPeer, setup: ServerSetup, order: ChainOrder): Promise<IssuedChain> {
  const keyPair = makeKeyPair(order.keys)
  const token = setup.token({ serviceAccount: order.serviceAccount })
  const key = order.proof === "csr" ? requestFor(keyPair) : proofFor(keyPair, token)
  const { spiffeId, chain } = await peer.x509({ key }, token)
  return {
    name: `${order.keys}-${order.proof}-${order.serviceAccount}`,
    spiffeId,
    chain,
    pem: chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    privateKey: keyPair.privateKey,
  }
}

function requestFor(keyPair: TestKeyPair): IssueX509Request["key"] {
  const algorithm = keyPair.publicKey.algorithm === "rsa" ? "rsa-sha256" : "ecdsa-sha256"
  return { $case: "csr", value: Buffer.from(makeTestCsr({ keyPair, algorithm })) }
}

function proofFor({ publicKey, privateKey }: TestKeyPair, token: string): IssueX509Request["key"] {
  const message = provenKeyMessage(createHash("sha256").update(token).digest(), publicKey.spki)
  const proof = sign(publicKey.algorithm === "ec-p384" ? "sha384" : "sha256", message, privateKey)
  return { $case: "provenKey", value: { publicKey: Buffer.from(publicKey.spki), proof } }
}
