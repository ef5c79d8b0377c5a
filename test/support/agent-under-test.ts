import { randomBytes } from "node:crypto"
import { type OpenIdentitySource, openIdentitySource } from "../../src/app/agent/open-identity-source.ts"
import type { IdentityView } from "../../src/app/deliver/identity-source.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { WorkloadKey } from "../../src/ports/keys.ts"
import type { Random } from "../../src/ports/random.ts"
import type { Log, LogFields } from "../../src/ports/telemetry.ts"
import { FakeAuthority } from "./fake-authority.ts"
import { FakeClock } from "./fake-clock.ts"

/** Every number drawn from it is `share` of the way from the least to the greatest. */
export function fixedRandom(share: number): Random {
  return (bytes) => {
    const drawn = Buffer.alloc(bytes)
    drawn.writeUIntBE(Math.floor(share * (2 ** 48 - 1)), 0, 6)
    return drawn
  }
}

/** An identity source on a fake authority and a fake clock. SVIDs named in `unverifiable` do not verify. */
export class AgentUnderTest implements AsyncDisposable {
  readonly clock = new FakeClock(1_800_000_000)
  readonly authority = new FakeAuthority(this.clock)
  readonly unverifiable = new Set<string>()
  readonly warnings: string[] = []
  readonly keys: WorkloadKey[] = []
  readonly source: OpenIdentitySource

  constructor(share = 0.5) {
    const log: Log = { debug: () => undefined, info: () => undefined, warn: this.#note, error: this.#note }
    this.source = openIdentitySource({
      authority: this.authority,
      keys: { makeWorkloadKey: async () => this.#makeKey() },
      keyAlgorithm: "ec-p256",
      clock: this.clock,
      random: fixedRandom(share),
      log,
      trustDomain: parseTrustDomain("prod.example"),
      verifyIssued: ({ spiffeId }) => {
        if (this.unverifiable.has(spiffeId)) throw new IdentityError("malformed", "chain has no root in the bundle")
      },
    })
  }

  /** Let everything run that can run without time passing. */
  async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await this.clock.advance(0)
  }

  /** The view. Fails when there is none. */
  get view(): IdentityView {
    const state = this.source.current()
    if (state.kind !== "ready") throw new Error(`${state.kind}: ${state.error.message}`, { cause: state.error })
    return state.view
  }

  get kind(): string {
    return this.source.current().kind
  }

  get error(): IdentityError {
    const state = this.source.current()
    if (state.kind === "ready") throw new Error("state is ready")
    return state.error
  }

  /** Which SVIDs are served, each as the text of its dummy leaf up to the key. */
  get serials(): readonly string[] {
    return this.view.svids.map(({ chain }) =>
      Buffer.from(chain[0] ?? [])
        .toString("latin1")
        .split(" ")
        .slice(0, 2)
        .join(" "),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.source[Symbol.asyncDispose]()
    await this.settle()
    await closed
  }

  readonly #note = (_: LogFields, message: string): void => void this.warnings.push(message)

  #makeKey(): WorkloadKey {
    const key = {
      algorithm: "ec-p256",
      publicKey: randomBytes(16),
      pkcs8: new Secret(randomBytes(16)),
      forget: () => undefined,
      sign: () => Promise.reject(new Error("the agent core signs nothing")),
    } as const
    this.keys.push(key)
    return key
  }
}
