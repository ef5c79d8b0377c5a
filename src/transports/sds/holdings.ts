import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { EncodedSecret, SecretSet } from "./secret-set.ts"
import type { SessionLimits, Standing } from "./session.ts"

/** What one stream's peer asked for, was sent, and confirmed, and how that differs from what there is now. */
export class Holdings {
  readonly #limits: SessionLimits
  /** In the order of subscription. */
  #names: ReadonlySet<string> = NONE
  /** Name to the version sent last on this stream, taken or refused: what is listed is not sent again. @see SDS-04 SDS-09 */
  readonly #sent = new Map<string, string>()
  /** What the peer says to hold of an earlier stream, or had on this one before it asked anew. @see SDS-22 */
  #claimed: ReadonlySet<string> = NONE
  #flights: readonly Flight[] = []
  /** Sent in responses that were not answered while they could be. */
  #unheard: ReadonlySet<string> = NONE
  #refused: ReadonlySet<string> = NONE
  #nackReason: string | undefined
  #epoch = 0
  #secrets: SecretSet | undefined

  constructor(limits: SessionLimits) {
    this.#limits = limits
  }

  /** Subscribe to exactly `names`. What the peer no longer asks for it forgets. @throws IdentityError `malformed` */
  subscribe(names: Iterable<string>): void {
    // A longer name cannot come to exist, so it is passed over as any unknown name is.
    const wanted = new Set([...names].filter((name) => name.length <= MAX_NAME))
    if (wanted.size > this.#limits.names) {
      throw new IdentityError("malformed", `more than ${this.#limits.names} resource names on one stream`)
    }
    // An acknowledgement says all names again. One set for life, in place of one for each, stays small in a long-lived heap.
    if (!sameInOrder(wanted, this.#names)) this.#names = wanted
    for (const name of [...this.#sent.keys()]) if (!wanted.has(name)) this.forget(name)
    if (this.#claimed.size > 0) this.#claimed = this.#claimed.intersection(wanted)
    this.#settle()
  }

  /** The peer holds something by these names, whatever it is. To be followed by {@link subscribe}. */
  claim(names: Iterable<string>): void {
    const claimed = new Set([...this.#claimed, ...names])
    if (claimed.size > 0) this.#claimed = claimed
  }

  get names(): ReadonlySet<string> {
    return this.#names
  }

  publish(secrets: SecretSet): void {
    this.#secrets = secrets
    this.#settle()
  }

  /** How many responses are waited for. */
  get inFlight(): number {
    return this.#flights.filter((flight) => !flight.overdue).length
  }

  /** Secrets that differ from what was sent last, without those that still wait for an answer. */
  changed(holdCertificates: boolean): readonly EncodedSecret[] {
    const found: EncodedSecret[] = []
    for (const name of this.#names) {
      const secret = this.#secrets?.find(name) ?? this.#withdrawal(name)
      if (secret === undefined || this.#sent.get(name) === secret.version) continue
      const held = this.#isInFlight(name) || (holdCertificates && secret.kind === "certificate")
      if (!(held && this.#sent.has(name))) found.push(secret)
    }
    return found
  }

  /**
   * Count `secrets` as sent under `nonce`. At most `kept` earlier responses can still be answered afterwards: what the others said last of a
   * name does not count as held until it is sent again. @param sentAt monotonic @see SDS-23
   */
  send(nonce: string, secrets: readonly EncodedSecret[], sentAt: Millis, kept: number): void {
    const versions = new Map(secrets.map(({ name, version }) => [name, version]))
    for (const [name, version] of versions) this.#sent.set(name, version)
    const trust = secrets.some(({ kind }) => kind === "trust")
    const earlier = kept === 0 ? [] : this.#flights.slice(-kept)
    for (const flight of this.#flights.slice(0, this.#flights.length - earlier.length)) this.#giveUp(flight)
    this.#hear(versions.keys())
    const epoch = this.#hasUnsentTrust() ? undefined : (this.#secrets?.epoch ?? 0)
    this.#flights = [...earlier, { nonce, versions, trust, epoch, sentAt, overdue: false }]
    this.#forgive(versions.keys())
  }

  /** True while something of this response was not answered, is asked for and was not overtaken. */
  isCurrent(nonce: string): boolean {
    const flight = this.#flights.find((candidate) => candidate.nonce === nonce)
    return flight !== undefined && [...flight.versions].some(([name, version]) => this.#sent.get(name) === version)
  }

  /** Wait no longer for answers to what was sent before this response. */
  forgetBefore(nonce: string): void {
    const index = this.#flights.findIndex((flight) => flight.nonce === nonce)
    if (index > 0) this.#flights = this.#flights.slice(index)
  }

  /** @returns false when no response with this nonce waits for an answer */
  acknowledge(nonce: string): boolean {
    const flight = this.#land(nonce)
    if (flight === undefined) return false
    if (this.#isAllTaken()) this.#epoch = flight.epoch ?? this.#epoch
    this.#settle()
    return true
  }

  /** @returns the names that were refused; `undefined` when no response with this nonce waits for an answer */
  refuse(nonce: string, reason: string): readonly string[] | undefined {
    const flight = this.#land(nonce)
    if (flight === undefined) return undefined
    // A late refusal of what was overtaken, or is no longer asked for, says nothing of what the peer holds now. @see SDS-20
    const current = [...flight.versions].filter(([name, version]) => this.#sent.get(name) === version)
    if (current.length > 0) {
      this.#refused = new Set([...this.#refused, ...current.map(([name]) => name)])
      this.#nackReason = reason.slice(0, MAX_REASON)
    }
    this.#settle()
    return [...flight.versions.keys()]
  }

  /**
   * Newer content may follow what was sent until `sentUntil` and not answered; a late answer still counts.
   * @returns false when there is nothing of that kind
   */
  giveUpWaiting(sentUntil: Millis): boolean {
    const isLate = ({ overdue, sentAt }: Flight) => !overdue && sentAt <= sentUntil
    if (!this.#flights.some(isLate)) return false
    this.#flights = this.#flights.map((flight) => (isLate(flight) ? { ...flight, overdue: true } : flight))
    return true
  }

  /** Names whose secret was sent and is gone, but for trust that is withdrawn; they count as never sent from now on. */
  takeRemoved(): readonly string[] {
    const secrets = this.#secrets
    if (secrets === undefined) return []
    const isGone = (name: string) => secrets.find(name) === undefined && secrets.withdraw(name) === undefined
    const removed = [...this.#sent.keys()].filter(isGone)
    for (const name of removed) this.forget(name)
    return removed
  }

  /** Count `name` as never sent, though the peer may have it. */
  askedAnew(name: string): void {
    if (this.#sent.has(name)) this.claim([name])
    this.forget(name)
  }

  /** Count `name` as never sent: what is said of it to earlier responses is about what the peer does not hold any more. @see SDS-20 */
  forget(name: string): void {
    this.#sent.delete(name)
    this.#forgive([name])
    this.#hear([name])
    for (const { versions } of this.#flights) versions.delete(name)
  }

  get trustPending(): boolean {
    if (this.#flights.some((flight) => flight.trust && !flight.overdue)) return true
    return this.changed(false).some(({ kind }) => kind === "trust")
  }

  get standing(): Standing | undefined {
    return this.#sent.size === 0 ? undefined : { epoch: this.#epoch, nackReason: this.#nackReason }
  }

  /** Who never had a bundle waits for it; who has one must lose it. @see SDS-22 */
  #withdrawal(name: string): EncodedSecret | undefined {
    return this.#sent.has(name) || this.#claimed.has(name) ? this.#secrets?.withdraw(name) : undefined
  }

  /** A trust was sent in a version that is not the newest. */
  #hasUnsentTrust(): boolean {
    for (const [name, version] of this.#sent) {
      const secret = this.#secrets?.find(name) ?? this.#withdrawal(name)
      if (secret?.kind === "trust" && secret.version !== version) return true
    }
    return false
  }

  #isInFlight(name: string): boolean {
    return this.#flights.some((flight) => !flight.overdue && flight.versions.has(name))
  }

  #land(nonce: string): Flight | undefined {
    const flight = this.#flights.find((candidate) => candidate.nonce === nonce)
    if (flight !== undefined) this.#flights = this.#flights.filter((other) => other !== flight)
    return flight
  }

  /** Nobody will say what became of this response. */
  #giveUp({ versions }: Flight): void {
    const unheard = [...versions].filter(([name, version]) => this.#sent.get(name) === version)
    if (unheard.length > 0) this.#unheard = new Set([...this.#unheard, ...unheard.map(([name]) => name)])
  }

  #hear(names: Iterable<string>): void {
    if (this.#unheard.size > 0) this.#unheard = this.#unheard.difference(new Set(names))
  }

  /** Whatever was sent last of each name was confirmed. */
  #isAllTaken(): boolean {
    return this.#flights.length === 0 && this.#refused.size === 0 && this.#unheard.size === 0
  }

  #forgive(names: Iterable<string>): void {
    if (this.#refused.size === 0) return
    this.#refused = this.#refused.difference(new Set(names))
    if (this.#refused.size === 0) this.#nackReason = undefined
  }

  /** A peer that confirmed all it was sent, and to whom the newest set brings nothing new, holds the newest epoch. */
  #settle(): void {
    if (this.#secrets === undefined || !this.#isAllTaken()) return
    if (this.#sent.size > 0 && this.changed(false).length === 0) this.#epoch = this.#secrets.epoch
  }
}

function sameInOrder(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false
  const others = b.values()
  for (const name of a) if (others.next().value !== name) return false
  return true
}

/** A response that was not answered yet. */
interface Flight {
  readonly nonce: string
  /** By name, but for those that the peer was told to forget since. */
  readonly versions: Map<string, string>
  readonly trust: boolean
  /** What the peer holds when it has confirmed this and all before; `undefined` when a change of trust waited for another answer. */
  readonly epoch: number | undefined
  /** Monotonic. */
  readonly sentAt: Millis
  readonly overdue: boolean
}

const NONE: ReadonlySet<string> = new Set()
/** A SPIFFE ID has at most 2048 bytes. */
const MAX_NAME = 2048
/** What a log line and a report can carry. */
const MAX_REASON = 512
