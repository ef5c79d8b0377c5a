import { connect } from "node:tls"
import type { HeldSvid, IdentityView } from "../../src/app/deliver/identity-source.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { makeBundle, type TestCa, type TestLeaf } from "./test-ca.ts"

/** An identity with a fresh key and certificate of `ca`. */
export function heldSvid(ca: TestCa, spiffeId: string): HeldSvid {
  const leaf = ca.issueLeaf(spiffeId)
  return {
    spiffeId: parseSpiffeId(spiffeId),
    hint: "",
    chain: leaf.chain,
    key: new Secret(leaf.pkcs8),
    notAfter: leaf.certificate.notAfter,
    federatesWith: [],
  }
}

/** A view with one fresh SVID of the first of `cas`; all of them are trusted. */
export function meshView(epoch: number, spiffeId: string, ca: TestCa, ...alsoTrusted: readonly TestCa[]): IdentityView {
  const roots = [ca, ...alsoTrusted].map(({ root }) => root.certificate.der)
  const own = makeBundle(ca.trustDomain, roots)
  return { snapshot: { epoch, incarnation: "test", own, federated: [] }, svids: [heldSvid(ca, spiffeId)] }
}

export interface MtlsAnswer {
  /** The text that the peer answered, or why there was none. */
  readonly body: string
  /** Serial number of the peer's certificate, hex; empty when the handshake did not get that far. */
  readonly serial: string
}

/** One request over mutual TLS to 127.0.0.1 with a fresh connection. Who the peer is is not checked here. */
export function requestOverMtls(port: number, leaf: TestLeaf | undefined): Promise<MtlsAnswer> {
  const identity =
    leaf === undefined
      ? {}
      : {
          cert: leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
          key: encodePem("PRIVATE KEY", leaf.pkcs8),
        }
  return new Promise((resolve) => {
    let reply = ""
    let serial = ""
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...identity }, () => {
      serial = socket.getPeerCertificate().serialNumber.toLowerCase()
      socket.write("GET / HTTP/1.1\r\nhost: mesh\r\nconnection: close\r\n\r\n")
    })
    socket.setTimeout(5000, () => socket.destroy(new Error("no answer within 5 s")))
    socket.on("data", (bytes) => {
      reply += bytes.toString("latin1")
    })
    socket.on("error", (error) => resolve({ body: error.message, serial }))
    socket.on("close", () => resolve({ body: reply.slice(reply.indexOf("\r\n\r\n") + 4), serial }))
  })
}
