import { IdentityError } from "../errors.ts"
import { isReserved, parseSpiffeId, parseWorkloadId, type SpiffeId } from "../spiffe/id.ts"
import type { Instant } from "../time.ts"

/** Whom a ban is about. Compared for equality only, each in its one spelling. @see BAN-01 INV-34 */
export type BanTarget =
  | { readonly kind: "identity"; readonly id: SpiffeId }
  /** The ID itself, and every ID that is `prefix`, a slash, and more; a trust domain alone is all of it. */
  | { readonly kind: "prefix"; readonly prefix: SpiffeId }
  | { readonly kind: "cluster"; readonly cluster: string }
  | { readonly kind: "namespace"; readonly cluster: string; readonly namespace: string }
  | { readonly kind: "node"; readonly cluster: string; readonly node: string }
  | { readonly kind: "pod"; readonly uid: string }
  /** Lowercase hex of the SHA-256 over SubjectPublicKeyInfo. */
  | { readonly kind: "key"; readonly spkiSha256: string }

export type BanKind = BanTarget["kind"]

/** A ban as it was put into force. */
export interface Ban {
  readonly target: BanTarget
  /** For people. 1 to 1024 characters. */
  readonly reason: string
  /** Who banned, as in audit records. */
  readonly actor: string
  readonly createdAt: Instant
  /** When it ends by itself; `undefined`: when it is lifted. */
  readonly until: Instant | undefined
}

/** A ban with all that became of it. */
export interface RecordedBan {
  /** Grows with every change of any ban. */
  readonly sequence: number
  readonly ban: Ban
  /** `undefined`: nobody lifted it. */
  readonly liftedAt: Instant | undefined
}

/** The name of a target: equal names of one kind are equal targets, and no others are. {@link parseBanTarget} reads it. */
export function banName(target: BanTarget): string {
  switch (target.kind) {
    case "identity":
      return target.id
    case "prefix":
      return target.prefix
    case "cluster":
      return target.cluster
    case "namespace":
      return `${target.cluster}/${target.namespace}`
    case "node":
      return `${target.cluster}/${target.node}`
    case "pod":
      return target.uid
    case "key":
      return target.spkiSha256
    default:
      return target satisfies never
  }
}

/**
 * Parse the name of a target: a SPIFFE ID, `<cluster>`, `<cluster>/<namespace>`, `<cluster>/<node>`, a pod UID, or 64 hex digits.
 * Never normalises. @throws IdentityError `malformed`, also for what would ban Assay itself @see BAN-01 BAN-02
 */
export function parseBanTarget(kind: BanKind, name: string): BanTarget {
  switch (kind) {
    case "identity":
      return { kind, id: unreserved(parseWorkloadId(name)) }
    case "prefix":
      return { kind, prefix: shallow(unreserved(parseSpiffeId(name))) }
    case "cluster":
      return { kind, cluster: demand(LABEL, name, "cluster is not a name of letters, digits and . _ -") }
    case "namespace": {
      const [cluster, namespace] = halves(name, NAMESPACE, "namespace")
      return { kind, cluster, namespace }
    }
    case "node": {
      const [cluster, node] = halves(name, NODE, "node")
      return { kind, cluster, node }
    }
    case "pod":
      return { kind, uid: demand(UID, name, "pod is not a UID of letters, digits and . _ -") }
    case "key":
      return {
        kind,
        spkiSha256: demand(SHA256, name, "key is not the SHA-256 of a public key, 64 lowercase hex digits"),
      }
    default:
      return kind satisfies never
  }
}

/** True while nothing is issued to whom `recorded` is about. @see BAN-07 */
export function isInForce({ ban, liftedAt }: RecordedBan, now: Instant): boolean {
  return liftedAt === undefined && (ban.until === undefined || now < ban.until)
}

/** When it ended or will end by itself; `undefined` for a ban without end. */
export function endOf({ ban, liftedAt }: RecordedBan): Instant | undefined {
  if (liftedAt === undefined) return ban.until
  return Math.min(liftedAt, ban.until ?? Number.POSITIVE_INFINITY)
}

/** How many path segments a prefix may have; what one look-up can cost is in proportion. */
export const MAX_PREFIX_SEGMENTS = 16

export const BAN_KINDS = [
  "identity",
  "prefix",
  "cluster",
  "namespace",
  "node",
  "pod",
  "key",
] as const satisfies readonly BanKind[]

function unreserved(id: SpiffeId): SpiffeId {
  if (isReserved(id)) throw malformed("is under /assay, which is reserved for Assay's own identities")
  return id
}

function shallow(prefix: SpiffeId): SpiffeId {
  const segments = prefix.split("/").length - AUTHORITY_SEGMENTS
  if (segments > MAX_PREFIX_SEGMENTS) throw malformed(`prefix has more than ${MAX_PREFIX_SEGMENTS} segments`)
  return prefix
}

function halves(name: string, second: RegExp, what: string): readonly [string, string] {
  const slash = name.indexOf("/")
  if (slash === -1) throw malformed(`${what} is not <cluster>/<${what}>`)
  return [
    demand(LABEL, name.slice(0, slash), `${what} is not of a cluster that can be configured`),
    demand(second, name.slice(slash + 1), `${what} is not a name that Kubernetes allows`),
  ]
}

function demand(shape: RegExp, text: string, message: string): string {
  if (!shape.test(text)) throw malformed(message)
  return text
}

function malformed(message: string): IdentityError {
  return new IdentityError("malformed", message)
}

const LABEL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const NODE = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
const UID = /^[A-Za-z0-9._-]{1,128}$/
const SHA256 = /^[0-9a-f]{64}$/
/** `spiffe:`, nothing, and the trust domain. */
const AUTHORITY_SEGMENTS = 3
