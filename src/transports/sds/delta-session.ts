import type { Millis } from "../../core/time.ts"
import type { DeltaDiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts"
import { Holdings } from "./holdings.ts"
import type { SecretSet } from "./secret-set.ts"
import type { Receipt, Reply, Session, SessionLimits, Standing } from "./session.ts"

/** The part of a request that matters after the stream was opened. What the peer claims to hold already matters for what is withdrawn alone. */
export type DeltaRequest = Pick<
  DeltaDiscoveryRequest,
  "resourceNamesSubscribe" | "resourceNamesUnsubscribe" | "responseNonce" | "errorDetail"
> &
  Partial<Pick<DeltaDiscoveryRequest, "initialResourceVersions">>

/**
 * `DeltaSecrets`: every subscription is answered, whatever the peer says to hold already, since proxies that were not
 * answered have lost their certificates. @see SDS-10 SDS-11
 */
export class DeltaSession implements Session<DeltaRequest> {
  readonly #holdings: Holdings
  #sent = 0

  constructor(limits: SessionLimits) {
    this.#holdings = new Holdings(limits)
  }

  /** Subscriptions count whatever the nonce is; the nonce only says which response was taken. */
  receive(request: DeltaRequest): Receipt {
    const receipt = this.#answered(request)
    const names = new Set(this.#holdings.names)
    for (const name of request.resourceNamesUnsubscribe) names.delete(name)
    for (const name of request.resourceNamesSubscribe) {
      names.add(name)
      this.#holdings.askedAnew(name)
    }
    this.#holdings.claim(Object.keys(request.initialResourceVersions ?? {}))
    this.#holdings.subscribe(names)
    return receipt
  }

  publish(secrets: SecretSet): void {
    this.#holdings.publish(secrets)
  }

  next(holdCertificates: boolean, now: Millis = 0): Reply | undefined {
    if (this.#holdings.inFlight >= MAX_IN_FLIGHT) return undefined
    const removed = this.#holdings.takeRemoved()
    const secrets = this.#holdings.changed(holdCertificates)
    if (secrets.length === 0 && removed.length === 0) return undefined
    this.#sent += 1
    const nonce = String(this.#sent)
    this.#holdings.send(nonce, secrets, now, MAX_IN_FLIGHT - 1)
    return { nonce, secrets, removed }
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

  #answered({ responseNonce, errorDetail }: DeltaRequest): Receipt {
    if (responseNonce === "") return { kind: "subscribed" }
    if (errorDetail === undefined) {
      return { kind: this.#holdings.acknowledge(responseNonce) ? "acknowledged" : "stale" }
    }
    const names = this.#holdings.refuse(responseNonce, errorDetail.message)
    return names === undefined ? { kind: "stale" } : { kind: "refused", names, reason: errorDetail.message }
  }
}

/** A peer that subscribes without acknowledging is answered this often; then it has to acknowledge. */
const MAX_IN_FLIGHT = 16
