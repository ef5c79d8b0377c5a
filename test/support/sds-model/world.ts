import { randomBytes } from "node:crypto"
import type { HeldSvid, IdentityView } from "../../../src/app/deliver/identity-source.ts"
import type { TrustBundle } from "../../../src/core/spiffe/bundle.ts"
import { parseTrustDomain } from "../../../src/core/spiffe/id.ts"
import type { ConsumerReport } from "../../../src/ports/identity-authority.ts"
import { makeSecretEncoder } from "../../../src/transports/sds/secret-encoder.ts"
import { SPIRE_WORDS } from "../../../src/transports/sds/secret-names.ts"
import type { EncodedSecret } from "../../../src/transports/sds/secret-set.ts"
import { FakeSource } from "../fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../fake-view.ts"

export type Change = "renew" | "root" | "root-and-renew" | "partner" | "second" | "deny" | "wait" | "back"

const DEFAULT = "spiffe://prod.example/ns/shop/sa/cart"
const SECOND = "spiffe://prod.example/ns/shop/sa/second"
const PARTNER = "spiffe://partner.example"
/** Whatever a proxy of these tests may ask for; one that exists now and then is among them, and one that never does. */
export const NAMES = ["default", "ROOTCA", "ALL", SECOND, PARTNER, "file-root:system"] as const
/** Of which Envoy verifies others by. */
export const TRUST_NAMES: ReadonlySet<string> = new Set(["ROOTCA", "ALL", PARTNER])

const TRUST_CHANGES: ReadonlySet<Change> = new Set<Change>(["root", "root-and-renew", "partner"])

class WatchedSource extends FakeSource {
  onReport: ((consumer: string, report: ConsumerReport) => void) | undefined

  override observed(consumer: string, report: ConsumerReport | undefined): void {
    super.observed(consumer, report)
    if (report !== undefined) this.onReport?.(consumer, report)
  }
}

/** What there is to serve, as it changes, and every state that it had. */
export class SdsWorld {
  readonly source = new WatchedSource()
  readonly views: IdentityView[] = []
  /** What was seen and must not be. */
  readonly failures: unknown[] = []
  readonly encoder = makeSecretEncoder(SPIRE_WORDS)
  #epoch = 1
  #own: TrustBundle = newRoot("prod.example")
  #partner: TrustBundle | undefined
  #first: HeldSvid = svid(DEFAULT)
  #second: HeldSvid | undefined

  constructor() {
    this.#serve()
  }

  change(change: Change): void {
    if (change === "deny") this.source.deny()
    else if (change === "wait") this.source.wait()
    else {
      this.#alter(change)
      this.#serve()
    }
  }

  get isReady(): boolean {
    return this.source.current().kind === "ready"
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The number of the newest state. */
  get newest(): number {
    return this.views.length - 1
  }

  /** For a proxy that has something by this name: then a bundle that is gone is one that trusts nobody. `undefined`: there is none. */
  secretAt(name: string, state: number): EncodedSecret | undefined {
    const view = this.views[state]
    const secrets = view && this.encoder(view, "spiffe")
    return secrets?.find(name) ?? secrets?.withdraw(name)
  }

  versionAt(name: string, state: number): string | undefined {
    return this.secretAt(name, state)?.version
  }

  /** There is nothing by this name, but for who has to lose it. */
  isGone(name: string, state: number): boolean {
    const view = this.views[state]
    return view === undefined || this.encoder(view, "spiffe").find(name) === undefined
  }

  /** The states that have this version; `undefined`: none. */
  statesOf(name: string, version: string | undefined): readonly number[] {
    return this.views.flatMap((_, state) => (this.versionAt(name, state) === version ? [state] : []))
  }

  /** This state or a later one has this version. */
  isOfOrAfter(state: number, name: string, version: string | undefined): boolean {
    return this.statesOf(name, version).some((one) => one >= state)
  }

  #alter(change: Exclude<Change, "deny" | "wait">): void {
    if (change === "second") this.#second = this.#second === undefined ? svid(SECOND) : undefined
    if (change === "renew" || change === "root-and-renew") this.#first = svid(DEFAULT)
    if (change === "root" || change === "root-and-renew") this.#own = newRoot("prod.example")
    if (change === "partner") this.#partner = this.#partner === undefined ? newRoot("partner.example") : undefined
    if (TRUST_CHANGES.has(change)) this.#epoch += 1
  }

  #serve(): void {
    const svids = this.#second === undefined ? [this.#first] : [this.#first, this.#second]
    const federated = this.#partner === undefined ? [] : [this.#partner]
    const view = fakeView({ svids, own: this.#own, federated, epoch: this.#epoch })
    this.views.push(view)
    this.source.ready(view)
  }
}

function svid(id: string): HeldSvid {
  return fakeSvid(id, { federatesWith: [parseTrustDomain("partner.example")] })
}

function newRoot(trustDomain: string): TrustBundle {
  return fakeBundle(trustDomain, { x509Authorities: [randomBytes(16)] })
}
