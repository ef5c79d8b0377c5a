import { createPrivateKey } from "node:crypto"
import { once } from "node:events"
import { connect } from "node:tls"
import { encodePem } from "../../../src/core/x509/pem.ts"
import type { X509Material } from "../../../src/ports/workload-api.ts"

/** An SVID in the hands of somebody who should not have it: the TLS credentials of a caller. */
export interface StolenSvid {
  /** PEM. */
  readonly key: string
  readonly cert: string
}

/** Whatever the first identity of `material` is. @throws TypeError when there is none */
export function stealSvid({ svids: [svid] }: X509Material): StolenSvid {
  if (svid === undefined) throw new TypeError("nothing to steal")
  const der = svid.key.expose((bytes) => Buffer.from(bytes))
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" })
  return { key: key.toString(), cert: svid.chain.map((certificate) => encodePem("CERTIFICATE", certificate)).join("") }
}

/** Whether a request with it is answered at `port`. Nothing but the certificate decides: whoever answers is believed. */
export async function isAccepted(svid: StolenSvid, port: number): Promise<boolean> {
  const socket = connect({ ...svid, host: "127.0.0.1", port, rejectUnauthorized: false })
  try {
    socket.write("GET / HTTP/1.1\r\nhost: mesh\r\nconnection: close\r\n\r\n")
    const [bytes]: unknown[] = await once(socket, "data", { signal: AbortSignal.timeout(ANSWER_MILLIS) })
    return String(bytes).startsWith("HTTP/1.1 200 ")
  } catch {
    return false
  } finally {
    socket.on("error", () => undefined).destroy()
  }
}

const ANSWER_MILLIS = 15_000
