import { equalBytes } from "../../core/bytes.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { waitFor } from "../../core/wait-for.ts"
import { IdentityClient } from "../../gen/assay/v1/identity.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"
import { type Bootstrap, loadRoots } from "./bootstrap.ts"
import {
  addressOf,
  channelCredentials,
  channelOptions,
  type ServerEndpoint,
  type TlsTerms,
  tlsTerms,
} from "./channel-trust.ts"
import { proveTrust, type TrustProof } from "./prove-trust.ts"
import { probeTrust } from "./trust-probe.ts"

export interface ChannelDeps {
  readonly clock: Clock
  readonly log: Log
  /** The bundle does not verify the root that a rotation brings in. */
  readonly probeFailed?: () => void
}

/** A client in use. Its channel stays until it is released, even when the roots change meanwhile. */
export interface Lease extends Disposable {
  readonly client: IdentityClient
}

interface Line {
  readonly client: IdentityClient
  readonly terms: TlsTerms
  readonly roots: readonly Uint8Array[]
  from: "bootstrap" | "bundle"
  leases: number
}

/**
 * One channel to the server, verified by the newest roots: those of the bootstrap, then those of each bundle that was
 * adopted. When the server is not trusted any more, the bootstrap is read anew at the next use, backed off; when that is no better
 * or cannot be read, the newest bundle is gone back to. @see AGT-36 AGT-37 AGT-43
 */
export class Channel implements Disposable {
  readonly #endpoint: ServerEndpoint
  readonly #bootstrap: Bootstrap
  readonly #deps: ChannelDeps
  readonly #stop = new AbortController()
  #line: Line | undefined
  #adopted: readonly Uint8Array[] | undefined
  #loading: Promise<Line> | undefined
  #probing: Promise<IdentityError | undefined> | undefined
  /** Since the server was last trusted. */
  #distrusts = 0
  #noReloadBefore: Millis = 0

  constructor(endpoint: ServerEndpoint, bootstrap: Bootstrap, deps: ChannelDeps) {
    this.#endpoint = endpoint
    this.#bootstrap = bootstrap
    this.#deps = deps
  }

  /** @param signal ends the wait for roots @throws IdentityError `not-ready` when there are none, `cancelled` */
  async lease(signal: AbortSignal): Promise<Lease> {
    const line = this.#line ?? (await waitFor(this.#load(), signal))
    line.leases++
    return { client: line.client, [Symbol.dispose]: () => this.#release(line) }
  }

  /** Verify new connections by `roots` from now on. Roots from files of their own are not changed by a bundle. */
  trust(roots: readonly Uint8Array[]): void {
    if (this.#endpoint.knownBy !== "spiffe-id") return
    this.#adopted = roots
    // A server whose root was just replaced may show the certificate of before for a moment.
    this.#noReloadBefore = Math.max(this.#noReloadBefore, this.#deps.clock.monotonic() + FIRST_RELOAD)
    const line = this.#line
    if (line === undefined) return
    // What verified by the roots of before verifies by the same ones now, so that costs no connection.
    if (sameRoots(line.roots, roots)) line.from = "bundle"
    else this.#replace(this.#open(roots, "bundle"))
  }

  /** Ask for a certificate of the root that a rotation brings in, while the newest bundle has more than one. @see AGT-44 */
  async prove(): Promise<TrustProof> {
    const line = this.#line
    if (line?.from !== "bundle" || (this.#adopted?.length ?? 0) < 2) return { kind: "none" }
    const proof = await proveTrust(this.#endpoint, line.terms)
    if (proof.kind !== "untrusted") return proof
    this.#deps.log.warn({ reason: proof.reason }, "the bundle does not verify the root that is brought in")
    this.#deps.probeFailed?.()
    return proof
  }

  /** The server was reached and is who it should be. */
  confirmed(): void {
    this.#distrusts = 0
  }

  /** Look why the server could not be reached. `undefined` when trust is not why. */
  explain(): Promise<IdentityError | undefined> {
    this.#probing ??= this.#probe().finally(() => (this.#probing = undefined))
    return this.#probing
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
    this.#line?.client.close()
  }

  async #probe(): Promise<IdentityError | undefined> {
    const line = this.#line
    if (line === undefined) return undefined
    const result = await probeTrust(this.#endpoint, line.terms)
    if (result.kind !== "untrusted") return undefined
    this.#distrust(line, result.reason)
    return new IdentityError("not-ready", `the server is not trusted: ${result.reason}`)
  }

  #distrust(line: Line, reason: string): void {
    if (this.#line !== line) return
    const fields = { reason, bootstrap: this.#bootstrap.kind }
    if (line.from === "bootstrap" && this.#adopted !== undefined) {
      this.#deps.log.warn(fields, "the server is not trusted: back to the newest bundle")
      this.#replace(this.#open(this.#adopted, "bundle"))
      return
    }
    const now = this.#deps.clock.monotonic()
    if (now < this.#noReloadBefore) return
    this.#noReloadBefore = now + Math.min(FIRST_RELOAD * 2 ** this.#distrusts, LAST_RELOAD)
    this.#distrusts++
    this.#deps.log.warn(fields, "the server is not trusted: bootstrapping again")
    this.#replace(undefined)
  }

  #load(): Promise<Line> {
    this.#loading ??= this.#loadOnce().finally(() => (this.#loading = undefined))
    return this.#loading
  }

  async #loadOnce(): Promise<Line> {
    if (this.#bootstrap.kind === "insecure") {
      this.#deps.log.warn(
        { insecure: true },
        "INSECURE bootstrap: whatever server answers is trusted. For development only",
      )
    }
    const line = await this.#bootstrapped()
    this.#replace(line)
    return line
  }

  async #bootstrapped(): Promise<Line> {
    const before = this.#adopted
    try {
      const roots = await loadRoots(this.#bootstrap, this.#endpoint, this.#stop.signal)
      // A stream that was open went on meanwhile, and what it brought is newer. @see AGT-36
      const newer = this.#adopted
      const isNewer = newer !== undefined && !sameRoots(before ?? [], newer)
      return isNewer ? this.#open(newer, "bundle") : this.#open(roots, "bootstrap")
    } catch (thrown) {
      if (this.#adopted === undefined || this.#stop.signal.aborted) throw thrown
      this.#deps.log.warn({ err: thrown }, "the bootstrap gives no roots: back to the newest bundle")
      return this.#open(this.#adopted, "bundle")
    }
  }

  #open(roots: readonly Uint8Array[], from: Line["from"]): Line {
    try {
      const terms = tlsTerms(this.#endpoint, roots)
      const client = new IdentityClient(
        addressOf(this.#endpoint),
        channelCredentials(terms),
        channelOptions(this.#endpoint),
      )
      return { client, terms, roots, from, leases: 0 }
    } catch (cause) {
      throw new IdentityError("not-ready", `no channel to the server: ${toIdentityError(cause).message}`, { cause })
    }
  }

  #replace(line: Line | undefined): void {
    const old = this.#line
    this.#line = line
    if (old?.leases === 0) old.client.close()
  }

  #release(line: Line): void {
    line.leases--
    if (line.leases === 0 && line !== this.#line) line.client.close()
  }
}

function sameRoots(before: readonly Uint8Array[], after: readonly Uint8Array[]): boolean {
  return before.length === after.length && before.every((root, i) => equalBytes(root, after[i] ?? NO_ROOT))
}

const NO_ROOT = new Uint8Array()
const FIRST_RELOAD: Millis = 1_000
const LAST_RELOAD: Millis = 60_000
