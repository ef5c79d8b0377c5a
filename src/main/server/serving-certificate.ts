import { hash } from "node:crypto"
import type { IssuingAuthorities } from "../../app/authority/issuing-authorities.ts"
import { rootId } from "../../app/authority/root-id.ts"
import { type IssueServingDeps, issueServing, type ServingSvid } from "../../app/issue/issue-serving.ts"
import { issueServingChain } from "../../app/issue/issue-serving-chain.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import { trustProbeName } from "../../core/spiffe/probe-name.ts"
import { parseIpAddress } from "../../core/x509/ip-address.ts"
import { encodePem } from "../../core/x509/pem.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"
import { type ConnectionLimits, ServingTls } from "../../transports/grpc/serving-tls.ts"
import type { ServingCertificate } from "../../transports/http/serving-context.ts"
import { readNamedFile } from "../config/read-config-file.ts"
import type { ServingConfig } from "../config/server-schema.ts"

/** TLS of the listeners, and the task that keeps its certificate current. */
export interface KeptTls {
  readonly tls: ServingTls
  /** What is shown right now. */
  certificate(): ServingCertificate
  /** Keep the certificate of another listener current as well. */
  follow(listener: Replaceable): void
  run(signal: AbortSignal): Promise<void>
  /** Make the certificate anew once another root signs, or other roots vouch for it. Nothing is made when that is so already. @see ROT-71 ROT-73 */
  followRoot(): Promise<void>
  /** Show a certificate of the root that a rotation brings in to whoever probes for it, and only as long as there is one. @see EV-4 */
  followProbe(): Promise<void>
  /** The fingerprint of that certificate; `undefined`: none is shown. */
  probe(): string | undefined
}

/** A listener whose certificate can be replaced. */
export interface Replaceable {
  /** @throws when it is not a chain with its key */
  replace(certificate: ServingCertificate): void
}

export type OwnServingDeps = Omit<IssueServingDeps, "plan" | "issuing"> & {
  readonly issuing: Pick<IssuingAuthorities, "current" | "whenReplaced" | "prepared" | "signsWith">
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
  const first = await load(NEVER)
  const tls = new ServingTls(first.certificate, limits)
  let certificate = first.certificate
  const listeners: Replaceable[] = [tls]
  const inTurn = makeInTurn() // so that none that was begun before another root signed takes the place of one of that root @see ROT-75
  const renew = (signal = NEVER) =>
    inTurn(async () => {
      const next = await load(signal)
      for (const listener of listeners) listener.replace(next.certificate)
      certificate = next.certificate
      return next.refreshIn
    })
  return {
    tls,
    certificate: () => certificate,
    follow: (listener) => void listeners.push(listener),
    ...following(serving, deps, renew),
    ...probing(serving, deps, tls),
    run: (signal) => keepCurrent(renew, first.refreshIn, deps.clock, log, signal),
  }
}

/** A certificate from files says nothing of roots. */
function following(
  serving: ServingConfig,
  deps: OwnServingDeps,
  renew: () => Promise<unknown>,
): Pick<KeptTls, "followRoot"> {
  if (serving.kind !== "own") return { followRoot: async () => undefined }
  let followed = servingRoot(deps)
  return {
    followRoot: async () => {
      const wanted = servingRoot(deps)
      if (wanted === followed) return
      await renew()
      followed = wanted
    },
  }
}

/** The root that the certificate is to chain to, and who vouches for it. */
function servingRoot({ trust, issuing }: OwnServingDeps): string {
  const id = issuing.signsWith()
  const root = trust.record().roots.find((one) => rootId(one) === id)
  return [id, ...(root?.crossCertificates ?? []).map(fingerprintOf)].join()
}

function probing(
  serving: ServingConfig,
  deps: OwnServingDeps,
  tls: Pick<ServingTls, "showProbe">,
): Pick<KeptTls, "followProbe" | "probe"> {
  if (serving.kind !== "own") return { followProbe: async () => undefined, probe: () => undefined }
  const name = trustProbeName(deps.trust.record().trustDomain)
  let shown: { readonly authorityId: string; readonly fingerprint: string } | undefined
  tls.showProbe(name, undefined)
  return {
    followProbe: async () => {
      const prepared = deps.issuing.prepared()
      if (prepared?.authorityId === shown?.authorityId) return
      shown = undefined
      tls.showProbe(name, undefined)
      if (prepared === undefined) return
      const plan = { ...deps.plan, dnsNames: [], ipAddresses: [] }
      const svid = await issueServing({ ...deps, plan, issuing: { current: () => prepared } }) // nobody vouches here @see ROT-72
      tls.showProbe(name, encodeServing(svid))
      shown = { authorityId: prepared.authorityId, fingerprint: fingerprintOf(svid.chain[0]) }
    },
    probe: () => shown?.fingerprint,
  }
}

function encodeServing({ chain, key }: ServingSvid): ServingCertificate {
  return {
    chain: chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    key: key.pkcs8.expose((der) => encodePem("PRIVATE KEY", der)),
  }
}

function fingerprintOf(leaf: Uint8Array | undefined): string {
  return hash("sha256", leaf ?? new Uint8Array(), "hex")
}

interface Loaded {
  readonly certificate: ServingCertificate
  /** Seconds until it should be loaded again. */
  readonly refreshIn: number
}

type Load = (signal: AbortSignal) => Promise<Loaded>

function ownLoader(serving: ServingConfig & { kind: "own" }, deps: OwnServingDeps): Load {
  const ipAddresses = serving.ipAddresses.map(parseIpAddress)
  const plan = { ...deps.plan, dnsNames: serving.dnsNames, ipAddresses }
  return async (signal) => {
    const svid = await issueServingChain({ ...deps, plan }, signal)
    return { certificate: encodeServing(svid), refreshIn: (svid.notAfter - deps.clock.now()) / 2 }
  }
}

function fileLoader(serving: ServingConfig & { kind: "files" }): Load {
  return async () => {
    const [chain, key] = await Promise.all([
      readNamedFile("certificate file", serving.certificateFile),
      readNamedFile("key file", serving.keyFile),
    ])
    return { certificate: { chain, key }, refreshIn: FILE_REFRESH }
  }
}

/** @param renew resolves to the seconds until it should be done again */
async function keepCurrent(
  renew: (signal: AbortSignal) => Promise<number>,
  firstWait: number,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  let wait = firstWait
  let retry = FIRST_RETRY
  while (!signal.aborted) {
    await clock.sleep(Math.max(1, wait) * 1000, signal)
    if (signal.aborted) return
    try {
      wait = await renew(signal)
      retry = FIRST_RETRY
    } catch (err) {
      if (signal.aborted) return
      log.error({ err, retryInS: retry }, "the serving certificate could not be renewed; trying again")
      wait = retry
      retry = Math.min(retry * 2, FILE_REFRESH)
    }
  }
}

const NEVER = new AbortController().signal
const FILE_REFRESH = 60
const FIRST_RETRY = 1
