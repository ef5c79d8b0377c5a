import { readFile } from "node:fs/promises"
import { type IssueServingDeps, issueServing } from "../../app/issue/issue-serving.ts"
import { parseIpAddress } from "../../core/x509/ip-address.ts"
import { encodePem } from "../../core/x509/pem.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"
import { type ConnectionLimits, ServingTls } from "../../transports/grpc/serving-tls.ts"
import type { ServingCertificate } from "../../transports/http/serving-context.ts"
import type { ServingConfig } from "../config/server-schema.ts"

/** TLS of the listeners, and the task that keeps its certificate current. */
export interface KeptTls {
  readonly tls: ServingTls
  /** What is shown right now. */
  certificate(): ServingCertificate
  /** Keep the certificate of another listener current as well. */
  follow(listener: Replaceable): void
  run(signal: AbortSignal): Promise<void>
  /** Make or read the certificate anew, because its root signs no more. */
  reload(): Promise<void>
}

/** A listener whose certificate can be replaced. */
export interface Replaceable {
  /** @throws when it is not a chain with its key */
  replace(certificate: ServingCertificate): void
}

export type OwnServingDeps = Omit<IssueServingDeps, "plan"> & {
  readonly plan: Omit<IssueServingDeps["plan"], "dnsNames" | "ipAddresses">
}

/** From the trust domain itself, or from files that are read again when they are renewed. */
export async function openServingTls(
  serving: ServingConfig,
  deps: OwnServingDeps,
  limits: ConnectionLimits,
  log: Log,
): Promise<KeptTls> {
  const load = serving.kind === "own" ? ownLoader(serving, deps) : fileLoader(serving)
  const first = await load()
  const tls = new ServingTls(first.certificate, limits)
  let certificate = first.certificate
  const listeners: Replaceable[] = [tls]
  const replace = (next: ServingCertificate) => {
    for (const listener of listeners) listener.replace(next)
    certificate = next
  }
  return {
    tls,
    certificate: () => certificate,
    follow: (listener) => void listeners.push(listener),
    reload: async () => replace((await load()).certificate),
    run: (signal) => keepCurrent({ replace }, load, first.refreshIn, deps.clock, log, signal),
  }
}

interface Loaded {
  readonly certificate: ServingCertificate
  /** Seconds until it should be loaded again. */
  readonly refreshIn: number
}

function ownLoader(serving: ServingConfig & { kind: "own" }, deps: OwnServingDeps): () => Promise<Loaded> {
  const ipAddresses = serving.ipAddresses.map(parseIpAddress)
  const plan = { ...deps.plan, dnsNames: serving.dnsNames, ipAddresses }
  return async () => {
    const svid = await issueServing({ ...deps, plan })
    const chain = svid.chain.map((der) => encodePem("CERTIFICATE", der)).join("")
    const key = svid.key.pkcs8.expose((der) => encodePem("PRIVATE KEY", der))
    return { certificate: { chain, key }, refreshIn: (svid.notAfter - deps.clock.now()) / 2 }
  }
}

function fileLoader(serving: ServingConfig & { kind: "files" }): () => Promise<Loaded> {
  return async () => {
    const [chain, key] = await Promise.all([
      readFile(serving.certificateFile, "utf8"),
      readFile(serving.keyFile, "utf8"),
    ])
    return { certificate: { chain, key }, refreshIn: FILE_REFRESH }
  }
}

async function keepCurrent(
  tls: Replaceable,
  load: () => Promise<Loaded>,
  firstWait: number,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  let wait = firstWait
  while (!signal.aborted) {
    await clock.sleep(Math.max(1, wait) * 1000, signal)
    if (signal.aborted) return
    try {
      const { certificate, refreshIn } = await load()
      tls.replace(certificate)
      wait = refreshIn
    } catch (err) {
      log.error({ err }, "the serving certificate could not be renewed; trying again")
      wait = Math.max(1, Math.min(wait / 2, FILE_REFRESH))
    }
  }
}

const FILE_REFRESH = 60
