import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { encodePem } from "../../src/core/x509/pem.ts"
import { makeTestCa } from "./test-ca.ts"

/** An https server on a loopback port, with files as an operator would configure them. */
export interface HttpsEndpoint extends AsyncDisposable {
  readonly url: string
  readonly folder: string
  readonly caFile: string
  readonly tokenFile: string
  readonly requests: {
    readonly method: string
    readonly path: string
    readonly headers: IncomingHttpHeaders
    readonly body: string
  }[]
  /** Replace what the CA file holds by another CA, which did not issue the server's certificate. */
  distrust(): Promise<void>
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export async function listenHttps(answer: Answer): Promise<HttpsEndpoint> {
  const ca = makeTestCa()
  const leaf = ca.issueLeaf("spiffe://example.org/api", { ipAddresses: [Uint8Array.of(127, 0, 0, 1)] })
  const folder = await mkdtemp(join(tmpdir(), "assay-https-"))
  const caFile = join(folder, "ca.pem")
  const tokenFile = join(folder, "token")
  await writeFile(caFile, encodePem("CERTIFICATE", ca.root.certificate.der))
  await writeFile(tokenFile, "reviewer-token\n")
  const cert = leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
  const requests: HttpsEndpoint["requests"] = []
  const server = createServer({ cert, key: encodePem("PRIVATE KEY", leaf.pkcs8) }, (request, response) => {
    const chunks: Buffer[] = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const { method = "", url = "", headers } = request
      requests.push({ method, path: url, headers, body: Buffer.concat(chunks).toString() })
      answer(request, response)
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new TypeError("not a TCP listener")
  return {
    url: `https://127.0.0.1:${address.port}`,
    folder,
    caFile,
    tokenFile,
    requests,
    distrust: () => writeFile(caFile, encodePem("CERTIFICATE", makeTestCa().root.certificate.der)),
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, "close")
      await rm(folder, { recursive: true })
    },
  }
}
