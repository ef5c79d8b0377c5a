import { X509Certificate } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import type { WatchedWorkload } from "../watched-workload.ts"

/** Watches, until it is disposed of, that what each workload holds is trusted by each of them. @see RINV-01 */
export interface PeerTrust extends AsyncDisposable {
  /** How often a pair was looked at. */
  readonly looks: number
  /** Who did not trust whom, twice in a row; the first hundred. */
  readonly failures: readonly string[]
}

export function watchPeerTrust(workloads: ReadonlyMap<string, WatchedWorkload>): PeerTrust {
  const stop = new AbortController()
  const failures: string[] = []
  let doubtful: ReadonlySet<string> = new Set()
  let looks = 0
  const look = () => {
    const now = new Set<string>()
    for (const [holder, { seen }] of workloads) {
      for (const [verifier, { seen: others }] of workloads) {
        looks += 1
        const fault = distrust(seen.at(-1)?.chain ?? [], others.at(-1)?.bundle ?? [])
        if (fault !== undefined) now.add(`${verifier} does not trust ${holder}: ${fault}`)
      }
    }
    // One message may be on its way while another has arrived.
    for (const fault of now) if (doubtful.has(fault) && failures.length < MAX_FAILURES) failures.push(fault)
    doubtful = now
  }
  const running = (async () => {
    while (!stop.signal.aborted) {
      look()
      await delay(EVERY, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })()
  return {
    get looks() {
      return looks
    },
    failures,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

/** `undefined`: trusted, or expired, which nobody has to trust. */
function distrust(chain: readonly Uint8Array[], bundle: readonly string[]): string | undefined {
  const [leaf, issuer] = chain.map((der) => new X509Certificate(der))
  if (leaf === undefined || issuer === undefined) return "it holds nothing"
  if (leaf.validToDate.getTime() < Date.now()) return undefined
  const roots = bundle.map((hex) => new X509Certificate(Buffer.from(hex, "hex")))
  if (leaf.verify(issuer.publicKey) && roots.some(({ publicKey }) => issuer.verify(publicKey))) return undefined
  return `${leaf.serialNumber} of ${issuer.issuer.replaceAll("\n", " ")}`
}

const EVERY = 50
const MAX_FAILURES = 100
