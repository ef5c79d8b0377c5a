import type { SubscriberSnapshot, SubscriberUpdate } from "../../app/deliver/entitlements.ts"
import type { JwtSvid, KeyEvidence, X509Svid } from "../../app/issue/requests.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import { demandAudiences } from "../../core/jose/audience.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { parseWorkloadId, type SpiffeId } from "../../core/spiffe/id.ts"
import type {
  BatchJwtResult,
  BatchX509Result,
  Bundle,
  Directive,
  IssueJwtResponse,
  IssueX509Request,
  IssueX509Response,
  Problem,
  Snapshot,
  SubscribeResponse,
} from "../../gen/assay/v1/identity.ts"

/** How a bundle's JWT authorities are written as a JWK Set. */
export type EncodeJwks = (bundle: TrustBundle) => string

/** The identity asked for; `undefined` for the default one. @throws IdentityError `malformed` */
export function wantedId(text: string): SpiffeId | undefined {
  return text === "" ? undefined : parseWorkloadId(text)
}

/** The serial that was quoted; `undefined` for none. @throws IdentityError `malformed` @see LIN-01 */
export function quotedSerial(text: string): string | undefined {
  if (text !== "" && !SERIAL.test(text)) throw malformed("renews is not a serial in lowercase hex")
  return text === "" ? undefined : text
}

/** @throws IdentityError `malformed` when there is no key, or more of it than is allowed */
export function keyEvidence(request: IssueX509Request, csrBytes: number): KeyEvidence {
  const key = request.key
  if (key === undefined) throw malformed("send a csr or a proven_key")
  if (key.$case === "csr") {
    if (key.value.length > csrBytes) throw malformed(`csr is longer than ${csrBytes} bytes`)
    return { kind: "csr", der: key.value }
  }
  const { publicKey, proof } = key.value
  if (publicKey.length > MAX_PUBLIC_KEY) throw malformed(`public_key is longer than ${MAX_PUBLIC_KEY} bytes`)
  if (proof.length > MAX_PROOF) throw malformed(`proof is longer than ${MAX_PROOF} bytes`)
  return { kind: "proven-key", publicKey, proof }
}

/** @throws IdentityError `malformed` @see JW-07 JW-16 */
export function audiences(list: readonly string[]): readonly string[] {
  demandAudiences(list)
  return list
}

export function encodeX509(svid: X509Svid, bundle: Bundle | undefined): IssueX509Response {
  return {
    spiffeId: svid.spiffeId,
    chain: svid.chain.map(asBuffer),
    hint: svid.hint,
    notAfter: svid.notAfter,
    epoch: svid.epoch,
    bundle,
  }
}

export function encodeJwt(svid: JwtSvid): IssueJwtResponse {
  return { spiffeId: svid.spiffeId, svid: svid.token, hint: svid.hint, expiresAt: svid.expiresAt }
}

export function x509Result(outcome: PromiseSettledResult<X509Svid>): BatchX509Result {
  if (outcome.status === "rejected") return { result: { $case: "problem", value: problem(outcome.reason) } }
  return { result: { $case: "issued", value: encodeX509(outcome.value, undefined) } }
}

export function jwtResult(outcome: PromiseSettledResult<JwtSvid>): BatchJwtResult {
  if (outcome.status === "rejected") return { result: { $case: "problem", value: problem(outcome.reason) } }
  return { result: { $case: "issued", value: encodeJwt(outcome.value) } }
}

export function encodeBundle(bundle: TrustBundle, jwks: EncodeJwks): Bundle {
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: bundle.x509Authorities.map(asBuffer),
    jwtAuthorities: Buffer.from(jwks(bundle)),
    sequence: bundle.sequence,
    refreshHintSeconds: bundle.refreshHint ?? 0,
  }
}

export function encodeUpdate(update: SubscriberUpdate, jwks: EncodeJwks): SubscribeResponse {
  if (update.kind === "snapshot") return { message: { $case: "snapshot", value: encodeSnapshot(update, jwks) } }
  return { message: { $case: "directive", value: { directive: encodeDirective(update) } } }
}

function encodeDirective(update: Exclude<SubscriberUpdate, SubscriberSnapshot>): Directive["directive"] {
  if (update.kind === "renew") return { $case: "renew", value: { withinSeconds: update.within } }
  return { $case: "evictKey", value: { spkiSha256: Buffer.from(update.key, "hex") } }
}

function encodeSnapshot(update: SubscriberSnapshot, jwks: EncodeJwks): Snapshot {
  const { snapshot, entitlements } = update
  return {
    epoch: snapshot.epoch,
    incarnation: snapshot.incarnation,
    bundle: encodeBundle(snapshot.own, jwks),
    federated: snapshot.federated.map((bundle) => encodeBundle(bundle, jwks)),
    identities: entitlements.map((entitlement) => ({
      spiffeId: entitlement.spiffeId,
      hint: entitlement.hint,
      x509TtlSeconds: entitlement.x509Ttl,
      jwtTtlSeconds: entitlement.jwtTtl,
      federatesWith: [...entitlement.federatesWith],
    })),
  }
}

function problem(thrown: unknown): Problem {
  const error = toIdentityError(thrown)
  return {
    code: error.code,
    reason: error.reason ?? error.code,
    message: error.message,
    retryAfterSeconds: error.retryAfter ?? 0,
    next: error.next ?? "",
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

/** RFC 5280 allows 20 octets. */
const SERIAL = /^[0-9a-f]{2,40}$/
const MAX_PUBLIC_KEY = 2048
const MAX_PROOF = 1024
