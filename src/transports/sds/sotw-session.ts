import type { Millis } from "../../core/time.ts"
import type { DiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts"
import { Holdings } from "./holdings.ts"
import type { SecretSet } from "./secret-set.ts"
import type { Receipt, Reply, Session, SessionLimits, Standing } from "./session.ts"

/** The part of a request that matters after the stream was opened. */
export type SotwRequest = Pick<DiscoveryRequest, "resourceNames" | "responseNonce" | "errorDetail"> &
  Partial<Pick<DiscoveryRequest, "versionInfo">>

/** `StreamSecrets`: one response in flight, which carries every subscribed secret that changed. @see SDS-01..SDS-08 */
export class SotwSession implements Session<SotwRequest> {
  readonly #holdings: Holdings
  #opened = false
  #sent = 0

  constructor(limits: SessionLimits) {
    this.#holdings = new Holdings(limits)
  }

  receive(request: SotwRequest): Receipt {
    // A nonce of an earlier stream means nothing on this one, and neither does the version that the peer took there: it
    // names one response, not the set that the peer asks for now.
    if (this.#opened && request.responseNonce !== this.#nonce) return this.#answeredLate(request)
    if (!this.#opened && (request.versionInfo ?? "") !== "") this.#holdings.claim(request.resourceNames)
    this.#opened = true
    // Who answers answers in order: of what came before nothing more is heard.
    this.#holdings.forgetBefore(request.responseNonce)
    const receipt = this.#answered(request)
    this.#holdings.subscribe(request.resourceNames)
    return receipt
  }

  publish(secrets: SecretSet): void {
    this.#holdings.publish(secrets)
  }

  next(holdCertificates: boolean, now: Millis = 0): Reply | undefined {
    if (this.#holdings.inFlight > 0) return undefined
    const secrets = this.#holdings.changed(holdCertificates)
    if (secrets.length === 0) return undefined
    this.#sent += 1
    this.#holdings.send(this.#nonce, secrets, now, MAX_LATE)
    return { nonce: this.#nonce, secrets, removed: [] }
  }

  giveUpWaiting(sentUntil: Millis = Number.POSITIVE_INFINITY): boolean {
    return this.#holdings.giveUpWaiting(sentUntil)
  }

  get trustPending(): boolean {
    return this.#holdings.trustPending
  }

  get standing(): Standing | undefined {
    return this.#holdings.standing
  }

  /** An answer to what was given up: it asks for nothing, but whether the peer took what it holds is what it says. @see SDS-20 */
  #answeredLate({ responseNonce, errorDetail }: SotwRequest): Receipt {
    if (!this.#holdings.isCurrent(responseNonce)) return { kind: "stale" }
    if (errorDetail === undefined) {
      this.#holdings.acknowledge(responseNonce)
      return { kind: "acknowledged" }
    }
    const names = this.#holdings.refuse(responseNonce, errorDetail.message) ?? []
    return { kind: "refused", names, reason: errorDetail.message }
  }

  get #nonce(): string {
    return this.#sent === 0 ? "" : String(this.#sent)
  }

  #answered({ responseNonce, errorDetail }: SotwRequest): Receipt {
    if (errorDetail === undefined) {
      return { kind: this.#holdings.acknowledge(responseNonce) ? "acknowledged" : "subscribed" }
    }
    const names = this.#holdings.refuse(responseNonce, errorDetail.message)
    return names === undefined ? { kind: "stale" } : { kind: "refused", names, reason: errorDetail.message }
  }
}

/** As many responses can be given up and still be answered. */
const MAX_LATE = 15
