import type { SpiffeId } from "../../src/core/spiffe/id.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import type { HeldIdentity, RotatingIdentity } from "../../src/main/demo/workload.ts"
import { heldSvid } from "./mesh.ts"
import type { TestCa } from "./test-ca.ts"

/** An identity of `ca` that rotates when the test says so. */
export class FakeIdentity implements RotatingIdentity {
  readonly #ca: TestCa
  readonly #trusted: TestCa
  readonly #spiffeId: SpiffeId
  readonly #listeners = new Set<(held: HeldIdentity) => void>()
  #held: HeldIdentity

  /** @param trusted whose bundle it holds; default `ca` */
  constructor(ca: TestCa, spiffeId: SpiffeId, trusted = ca) {
    this.#ca = ca
    this.#trusted = trusted
    this.#spiffeId = spiffeId
    this.#held = this.#issue(1)
  }

  readonly current = (): HeldIdentity => this.#held

  readonly onChange = (listener: (held: HeldIdentity) => void): Disposable => {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** A new key and certificate. */
  rotate(): void {
    this.#held = this.#issue(this.#held.update + 1)
    for (const listener of this.#listeners) listener(this.#held)
  }

  #issue(update: number): HeldIdentity {
    const { spiffeId, hint, chain, key } = heldSvid(this.#ca, this.#spiffeId)
    const bundle = this.#trusted.bundle.x509Authorities
    const leaf = parseCertificate(chain[0] ?? new Uint8Array())
    return { svid: { spiffeId, hint, chain, key, bundle }, leaf, update, at: performance.now() }
  }
}
