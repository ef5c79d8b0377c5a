import { once } from "node:events"
import { connect, isIP } from "node:net"
import { connect as connectTls } from "node:tls"
import { parseJwksDocument } from "../../adapters/kube/jwks-document.ts"
import { makeTokenReviewer } from "../../adapters/kube/token-review.ts"
import type { AddressLook, Lifetime, MachineFacts } from "../../core/doctor/facts.ts"

import { parseCertificate } from "../../core/x509/certificate.ts"
import type { ClusterConfig, ServerConfig } from "../config/server-config.ts"
import type { HostPort } from "../config/values.ts"
import { openApiServer, openKeySource } from "../server/clusters.ts"
import { look } from "./look.ts"

/** Ask each cluster what a server asks it: for its keys, and about a token, which is none. */
export async function lookAtClusters(clusters: readonly ClusterConfig[]): Promise<MachineFacts["clusters"]> {
  const looks = clusters.map(async (cluster) => {
    const { name, keys, tokenReview } = cluster
    const read = await look(async () => {
      const { source } = await openKeySource(keys)
      parseJwksDocument(await source.read(AbortSignal.timeout(TIMEOUT)))
      return undefined
    })
    const found = [{ name, what: "keys" as const, look: read }]
    if (tokenReview.mode === "off") return found
    const reviewed = await look(async () => {
      const reviewer = makeTokenReviewer(await openApiServer(tokenReview.source))
      await reviewer.review("assay-doctor", cluster.audiences, AbortSignal.timeout(TIMEOUT))
      return undefined
    })
    return [...found, { name, what: "TokenReview" as const, look: reviewed }]
  })
  return (await Promise.all(looks)).flat()
}

/** Whether somebody answers at each configured address; any port (0) is left out. */
export async function lookAtAddresses({ listen, oauth }: ServerConfig): Promise<readonly AddressLook[]> {
  const named: readonly (readonly [string, HostPort | undefined])[] = [
    ["grpc", listen.grpc],
    ["https", oauth === undefined ? undefined : listen.https],
    ["admin", listen.admin],
    ["health", listen.health],
  ]
  const looks = named.map(async ([name, at]): Promise<readonly AddressLook[]> => {
    if (at === undefined || at.port === 0) return []
    const address = `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}`
    const loopback = at.host === "localhost" || at.host === "::1" || (isIP(at.host) === 4 && at.host.startsWith("127."))
    return [{ name, address, loopback, answers: await answers(at) }]
  })
  return (await Promise.all(looks)).flat()
}

/** The certificate that is shown there, whoever has signed it. */
export async function shownCertificate(at: HostPort): Promise<Lifetime> {
  const options = { ...reachable(at), ALPNProtocols: ["h2"], rejectUnauthorized: false }
  const socket = connectTls(options)
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(TIMEOUT) })
    return parseCertificate(new Uint8Array(socket.getPeerCertificate().raw))
  } finally {
    socket.destroy()
  }
}

async function answers(at: HostPort): Promise<boolean> {
  const socket = connect(reachable(at))
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(TIMEOUT) })
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Who listens everywhere is reached at the loopback address. */
function reachable({ host, port }: HostPort): HostPort {
  if (host === "0.0.0.0") return { host: "127.0.0.1", port }
  return { host: host === "::" ? "::1" : host, port }
}

const TIMEOUT = 5000
