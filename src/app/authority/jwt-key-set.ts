import { type JwtKeyAlgorithm, signingSet } from "../../core/authority/jwt-keys.ts"
import { IdentityError } from "../../core/errors.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import { type AccessTokenHeader, encodeAccessTokenHeader } from "../../core/jose/access-token.ts"
import { encodeJwtSvidHeader, type JwtSvidHeader } from "../../core/jose/jwt-svid.ts"
import type { JwtKeyRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyStore, Signer } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { ClockGuard } from "../issue/clock-guard.ts"
import { adoptEarlierKeys } from "./adopt-earlier-keys.ts"
import { type MakeJwtKeysDeps, makeJwtKeys } from "./make-jwt-keys.ts"
import type { TrustState } from "./trust-state.ts"
import { beingReplaced, makeWhenReplaced, type WhenReplaced } from "./when-replaced.ts"

/** The key that signs tokens with one algorithm right now, with the header of each kind of token. */
export interface ActiveJwtKey {
  readonly kid: string
  readonly algorithm: JwtKeyAlgorithm
  readonly signer: Signer
  readonly jwtSvidHeader: JwtSvidHeader
  readonly accessTokenHeader: AccessTokenHeader
}

/** The trust domain's JWT keys as this process signs with them. The record says which one; who changes the record is the rotation. */
export interface JwtKeySet {
  /** Each has a key in every set. That of JWT-SVIDs first. */
  readonly algorithms: readonly JwtKeyAlgorithm[]
  /** @throws IdentityError `not-ready` when no key of the algorithm is active, or it is not open yet, which is worth {@link whenReplaced} */
  active(algorithm: JwtKeyAlgorithm): ActiveJwtKey
  /** What signs JWT-SVIDs: one of `wanted`, else the first of the configured algorithms, or while none of it signs yet, another. @throws IdentityError `not-ready` */
  activeForSvids(wanted?: JwtKeyAlgorithm): ActiveJwtKey
  /** For {@link active} and {@link activeForSvids}. @see AUT-23 */
  readonly whenReplaced: WhenReplaced
  /** A key was announced that does not sign yet, or one signs no more: relying parties should look often. @see JWKS-09 */
  rotating(): boolean
  /** The name of the set that this process signs with; empty while it has not all of its keys. */
  signsWith(): string
  /** Open every key that signs or will, before it is its turn, and let go of those that never will again. */
  follow(): Promise<void>
}

export interface JwtKeySetDeps extends MakeJwtKeysDeps {
  readonly clock: Clock
  readonly guard: Pick<ClockGuard, "demand">
  readonly trust: TrustState
  /** Not empty; that of JWT-SVIDs first. */
  readonly algorithms: readonly JwtKeyAlgorithm[]
  readonly random: Random
}

/** Open the trust domain's JWT keys; the first ones are made here when there are none. */
export async function openJwtKeySet(deps: JwtKeySetDeps): Promise<JwtKeySet> {
  const { trust, algorithms } = deps
  const open = new OpenKeys(deps.keys)
  const inTurn = makeInTurn() // so that one that follows an older record closes nothing of a newer @see AUT-22
  await adoptEarlierKeys(deps)
  if (trust.record().jwtKeys.length === 0) await publishFirst(deps)
  await open.follow(trust.record().jwtKeys)
  const signing = () => trust.record().jwtKeys.filter(({ state }) => state === "active")
  const isDone = () => signing().every(({ kid }) => open.find(kid) !== undefined)
  const find = (algorithm: JwtKeyAlgorithm) => {
    const record = trust.record().jwtKeys.find((key) => key.state === "active" && key.algorithm === algorithm)
    return record && open.demand(record.kid)
  }
  /** Of the configured algorithms, or while none of them signs yet, of another. */
  const first = () => {
    for (const algorithm of algorithms) {
      const key = find(algorithm)
      if (key !== undefined) return key
    }
    const [record] = signing()
    return record && open.demand(record.kid)
  }
  const follow = () => inTurn(() => open.follow(trust.record().jwtKeys))
  return {
    algorithms,
    active: (algorithm) => require(find(algorithm)),
    activeForSvids: (wanted) => require((wanted === undefined ? undefined : find(wanted)) ?? first()),
    whenReplaced: makeWhenReplaced({ follow, isDone, guard: deps.guard, clock: deps.clock }),
    rotating: () => trust.record().jwtKeys.some(({ state }) => state !== "active"),
    signsWith: () => (isDone() ? (signingSet(trust.record().jwtKeys) ?? "") : ""),
    follow,
  }
}

/** The private halves. */
class OpenKeys {
  readonly #keys: KeyStore
  readonly #open = new Map<string, ActiveJwtKey>()

  constructor(keys: KeyStore) {
    this.#keys = keys
  }

  find(kid: string): ActiveJwtKey | undefined {
    return this.#open.get(kid)
  }

  /** One that the record says signs. @throws IdentityError `not-ready` while it is not open */
  demand(kid: string): ActiveJwtKey {
    const key = this.find(kid)
    if (key === undefined) throw beingReplaced("the key that signs tokens is being replaced")
    return key
  }

  async follow(records: readonly JwtKeyRecord[]): Promise<void> {
    const wanted = records.filter(({ state }) => state !== "removed")
    for (const record of wanted) await this.#add(record)
    const kids = new Set(wanted.map(({ kid }) => kid))
    for (const [kid, { signer }] of this.#open) {
      if (kids.has(kid)) continue
      signer.forget()
      this.#open.delete(kid)
    }
  }

  async #add({ keyId, kid, algorithm, state }: JwtKeyRecord): Promise<void> {
    // One that signs no more is needed again only after a rollback, which opens it.
    if (this.#open.has(kid) || state === "retired") return
    const signer = await this.#keys.open(keyId)
    const jwtSvidHeader = encodeJwtSvidHeader(kid, algorithm)
    const accessTokenHeader = encodeAccessTokenHeader(kid, algorithm)
    this.#open.set(kid, { kid, algorithm, signer, jwtSvidHeader, accessTokenHeader })
  }
}

/** The very first keys have nobody to be announced to, so all of them sign at once. @see AUT-20 */
async function publishFirst(deps: JwtKeySetDeps): Promise<void> {
  const stem = `jwt-${Buffer.from(deps.random(8)).toString("hex")}`
  const made = await makeJwtKeys(deps, stem, deps.algorithms, "jwt-keys")
  const jwtKeys = made.map((key) => ({ ...key, state: "active" as const }))
  await deps.trust.update((record) => ({ ...record, epoch: record.epoch + 1, jwtKeys }))
}

/** @throws IdentityError `not-ready` */
function require(key: ActiveJwtKey | undefined): ActiveJwtKey {
  if (key === undefined) throw new IdentityError("not-ready", "no JWT key is active", { retryAfter: 1 })
  return key
}
