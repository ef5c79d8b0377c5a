import { IdentityError } from "../../src/core/errors.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import type { Clock } from "../../src/ports/clock.ts"
import type {
  AuthorityUpdate,
  ConsumerReport,
  Entitlement,
  IdentityAuthority,
  JwtIssued,
  JwtOrder,
  Outcome,
  Subscription,
  X509Issued,
  X509Order,
} from "../../src/ports/identity-authority.ts"
import { fakeBundle } from "./fake-view.ts"

/** One Subscribe stream of a {@link FakeAuthority}, from the server's side. */
export class FakeStream implements Subscription {
  readonly acknowledged: { readonly epoch: number; readonly nackReason: string | undefined }[] = []
  /** Of the newest report. */
  unlisted = 0
  readonly reports: (readonly ConsumerReport[])[] = []
  isOpen = true
  readonly #queue: (AuthorityUpdate | IdentityError | "end")[] = []
  #wake: () => void = () => undefined

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => this.end())
  }

  push(update: AuthorityUpdate): void {
    this.#put(update)
  }

  /** @param kids of the JWT keys in the bundle */
  snapshot(epoch: number, entitlements: readonly Entitlement[], incarnation = "first", kids = ["key-1"]): void {
    const jwtAuthorities = kids.map((kid) => ({ kid, algorithm: "ES256", jwk: {} }) as const)
    const own = fakeBundle("prod.example", { sequence: epoch, jwtAuthorities })
    const snapshot = { epoch, incarnation, own, federated: [] }
    this.#put({ kind: "snapshot", snapshot, entitlements })
  }

  /** The trust domain's root is another one than in {@link snapshot}. */
  rootChanged(epoch: number, entitlements: readonly Entitlement[]): void {
    const own = fakeBundle("prod.example", { sequence: epoch, x509Authorities: [Buffer.from("another root")] })
    this.#put({ kind: "snapshot", snapshot: { epoch, incarnation: "first", own, federated: [] }, entitlements })
  }

  end(): void {
    this.#put("end")
  }

  fail(error: IdentityError): void {
    this.#put(error)
  }

  acknowledge(epoch: number, nackReason: string | undefined): void {
    if (!this.isOpen) throw new Error("acknowledged on a closed stream")
    this.acknowledged.push({ epoch, nackReason })
  }

  report(consumers: readonly ConsumerReport[], unlisted: number): void {
    if (!this.isOpen) throw new Error("reported on a closed stream")
    this.unlisted = unlisted
    if (consumers.length > 1000) throw new Error("a report of more than 1000 consumers")
    this.reports.push(consumers)
  }

  get updates(): AsyncIterable<AuthorityUpdate> {
    return this.#read()
  }

  async *#read(): AsyncGenerator<AuthorityUpdate, void, void> {
    try {
      for (;;) {
        const next = this.#queue.shift()
        if (next === "end") return
        if (next instanceof IdentityError) throw next
        if (next !== undefined) yield next
        else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      this.isOpen = false
    }
  }

  #put(item: AuthorityUpdate | IdentityError | "end"): void {
    this.#queue.push(item)
    this.#wake()
  }
}

/** An {@link IdentityAuthority} that a test drives. SVIDs are dummy bytes; misuse of the port throws a plain Error. */
export class FakeAuthority implements IdentityAuthority {
  readonly streams: FakeStream[] = []
  readonly x509Calls: (readonly X509Order[])[] = []
  readonly jwtCalls: (readonly JwtOrder[])[] = []
  /** Every call fails with it, and streams do. */
  down: IdentityError | undefined
  /** Calls wait for it. */
  gate: Promise<void> = Promise.resolve()
  ttl = 1000
  jwtTtl = 300
  epoch = 1
  kid = "key-1"
  answerX509: (order: X509Order) => Outcome<X509Issued> = (order) => this.issued(order)
  answerJwt: (order: JwtOrder) => Outcome<JwtIssued> = (order) => this.issuedJwt(order)
  readonly #clock: Clock
  #serial = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The stream that was opened last. */
  get stream(): FakeStream {
    const last = this.streams.at(-1)
    if (last === undefined) throw new Error("nobody subscribed")
    return last
  }

  issued(order: X509Order): Outcome<X509Issued> {
    const leaf = Buffer.concat([Buffer.from(`${order.spiffeId} ${++this.#serial} `), order.key.publicKey])
    const notAfter = this.#clock.now() + this.ttl
    const chain = [leaf, Buffer.from("issuing authority")]
    const serial = this.#serial.toString(16).padStart(34, "1")
    return { kind: "issued", value: { spiffeId: order.spiffeId, hint: "", serial, chain, notAfter, epoch: this.epoch } }
  }

  issuedJwt({ spiffeId, audience }: JwtOrder): Outcome<JwtIssued> {
    const header = Buffer.from(JSON.stringify({ alg: "ES256", kid: this.kid })).toString("base64url")
    const token = `${header}.${audience.join("+")}.${++this.#serial}`
    return { kind: "issued", value: { spiffeId, hint: "", token, expiresAt: this.#clock.now() + this.jwtTtl } }
  }

  async issueX509(orders: readonly X509Order[], signal: AbortSignal): Promise<readonly Outcome<X509Issued>[]> {
    if (orders.length === 0 || orders.length > 64) throw new Error(`${orders.length} orders in one call`)
    this.x509Calls.push(orders)
    await Promise.race([this.gate, aborted(signal)])
    if (this.down !== undefined) throw this.down
    return orders.map((order) => this.answerX509(order))
  }

  async issueJwt(orders: readonly JwtOrder[], signal: AbortSignal): Promise<readonly Outcome<JwtIssued>[]> {
    if (orders.length === 0 || orders.length > 64) throw new Error(`${orders.length} orders in one call`)
    this.jwtCalls.push(orders)
    await Promise.race([this.gate, aborted(signal)])
    if (this.down !== undefined) throw this.down
    return orders.map((order) => this.answerJwt(order))
  }

  subscribe(signal: AbortSignal): FakeStream {
    const stream = new FakeStream(signal)
    if (this.down !== undefined) stream.fail(this.down)
    this.streams.push(stream)
    return stream
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new IdentityError("cancelled", "cancelled")))
  })
}

/** An entitlement in `prod.example`. */
export function entitled(path: string, fields: Partial<Entitlement> = {}): Entitlement {
  const spiffeId = parseSpiffeId(`spiffe://prod.example${path}`)
  return { spiffeId, hint: "", x509Ttl: 1000, jwtTtl: 300, federatesWith: [], ...fields }
}
