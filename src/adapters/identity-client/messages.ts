import { IdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { MAX_AUTHORITIES } from "../../core/spiffe/bundle-bounds.ts"
import { parseTrustDomain, parseWorkloadId } from "../../core/spiffe/id.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import {
  type BatchJwtResult,
  type BatchX509Result,
  type Bundle,
  type Consumer,
  ConsumerKind,
  type SubscribeResponse,
} from "../../gen/assay/v1/identity.ts"
import type { AuthorityUpdate, ConsumerReport, JwtIssued, Outcome, X509Issued } from "../../ports/identity-authority.ts"
import { parseJwtAuthorities } from "./jwt-authorities.ts"
import { problemToError } from "./status-to-error.ts"

/** @throws IdentityError `malformed` */
export function parseBundle(bundle: Bundle | undefined): TrustBundle {
  if (bundle === undefined) throw malformed("the server sent no bundle")
  if (bundle.x509Authorities.length > MAX_AUTHORITIES)
    throw malformed(`bundle has more than ${MAX_AUTHORITIES} authorities`)
  for (const certificate of bundle.x509Authorities) parseCertificate(certificate)
  return {
    trustDomain: parseTrustDomain(bundle.trustDomain),
    x509Authorities: bundle.x509Authorities,
    jwtAuthorities: parseJwtAuthorities(bundle.jwtAuthorities),
    sequence: bundle.sequence,
    refreshHint: bundle.refreshHintSeconds === 0 ? undefined : bundle.refreshHintSeconds,
  }
}

/** `undefined` for a message of a kind that we do not know yet. @throws IdentityError `malformed` */
export function parseUpdate({ message }: SubscribeResponse): AuthorityUpdate | undefined {
  if (message?.$case === "snapshot") {
    const { epoch, incarnation, bundle, federated, identities } = message.value
    if (federated.length > MAX_LIST || identities.length > MAX_LIST) throw malformed("snapshot is too long")
    const snapshot = { epoch, incarnation, own: parseBundle(bundle), federated: federated.map(parseBundle) }
    const entitlements = identities.map((identity) => ({
      spiffeId: parseWorkloadId(identity.spiffeId),
      hint: identity.hint,
      x509Ttl: identity.x509TtlSeconds,
      jwtTtl: identity.jwtTtlSeconds,
      federatesWith: identity.federatesWith.map(parseTrustDomain),
    }))
    return { kind: "snapshot", snapshot, entitlements }
  }
  const directive = message?.value.directive
  if (directive?.$case === "renew") return { kind: "renew", within: directive.value.withinSeconds }
  if (directive?.$case === "evict") return { kind: "evict", reason: directive.value.reason.slice(0, MAX_REASON) }
  if (directive?.$case === "evictKey") return { kind: "evict-key", key: keyName(directive.value.spkiSha256) }
  return undefined
}

export function parseX509Result({ result }: BatchX509Result): Outcome<X509Issued> {
  return outcome(result, ({ spiffeId, hint, chain, notAfter, epoch }) => {
    if (chain.length === 0 || chain.length > MAX_CHAIN) throw malformed("chain is empty or too long")
    const [leaf = new Uint8Array()] = chain
    const { serial } = parseCertificate(leaf)
    return { spiffeId: parseWorkloadId(spiffeId), hint, serial, chain, notAfter, epoch }
  })
}

export function parseJwtResult({ result }: BatchJwtResult): Outcome<JwtIssued> {
  return outcome(result, ({ spiffeId, hint, svid, expiresAt }) => {
    if (svid === "") throw malformed("the server sent no token")
    return { spiffeId: parseWorkloadId(spiffeId), hint, token: svid, expiresAt }
  })
}

export function encodeConsumer({ name, kind, epoch, nackReason }: ConsumerReport): Consumer {
  return {
    name: clip(name, MAX_NAME),
    kind: CONSUMER_KINDS[kind],
    epoch,
    nackReason: clip(nackReason ?? "", MAX_REASON),
  }
}

/** The text, cut to at most `bytes` of UTF-8. */
export function clip(text: string, bytes: number): string {
  const encoded = Buffer.from(text)
  if (encoded.length <= bytes) return text
  return new TextDecoder("utf-8").decode(encoded.subarray(0, bytes), { stream: true })
}

type Result<Value> =
  | { readonly $case: "issued"; readonly value: Value }
  | { readonly $case: "problem"; readonly value: Parameters<typeof problemToError>[0] }
  | undefined

function outcome<Wire, Value>(result: Result<Wire>, parse: (wire: Wire) => Value): Outcome<Value> {
  if (result === undefined) return { kind: "failed", error: malformed("the server left an order unanswered") }
  if (result.$case === "problem") return { kind: "failed", error: problemToError(result.value) }
  try {
    return { kind: "issued", value: parse(result.value) }
  } catch (thrown) {
    if (thrown instanceof IdentityError) return { kind: "failed", error: thrown }
    throw thrown
  }
}

function keyName(spkiSha256: Uint8Array): string {
  if (spkiSha256.length !== SHA256_BYTES) throw malformed("spki_sha256 is not 32 bytes")
  return Buffer.from(spkiSha256).toString("hex")
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const CONSUMER_KINDS = {
  sds: ConsumerKind.CONSUMER_KIND_SDS,
  "workload-api": ConsumerKind.CONSUMER_KIND_WORKLOAD_API,
  file: ConsumerKind.CONSUMER_KIND_FILE,
} as const satisfies Record<ConsumerReport["kind"], ConsumerKind>
const SHA256_BYTES = 32
const MAX_LIST = 1024
const MAX_CHAIN = 16
export const MAX_NAME = 253
export const MAX_REASON = 1024
