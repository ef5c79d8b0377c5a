import type { Instant } from "../time.ts"

/**
 * A line of certificates of one identity that one pod holds: each was given to whoever showed the one before. Who quotes none
 * begins another, so a pod has as many as it has agents, and some that nobody will go on with. @see LIN-01
 */
export interface Lineage {
  readonly id: number
  /** Serial of the newest certificate. */
  readonly current: string
  /** Serial that was quoted for it; empty for none. */
  readonly previous: string
  /** Key identifier of the newest certificate, hex. */
  readonly key: string
  /** When the last of its certificates ends. */
  readonly notAfter: Instant
  /** Somebody went on from a certificate that had been renewed before. */
  readonly broken: boolean
}

/** What a caller says of the certificate that it wants to replace, and the key of the new one. */
export interface Renewal {
  /** Serial of the certificate that it holds; `undefined`: it holds none. */
  readonly quoted: string | undefined
  /** Key identifier, hex. */
  readonly key: string
  /** The pod has one agent: who begins takes the place of all before. @see LIN-12 */
  readonly isSole: boolean
}

/** What the log has under the serial that was quoted. */
export interface QuotedIssuance {
  /** Given to this pod for this identity. */
  readonly isOwn: boolean
  readonly lineage: number
}

export type LineageVerdict =
  | { readonly kind: "goes-on"; readonly lineage: number }
  /** A new one; `replaces` is forgotten for it. */
  | { readonly kind: "begins"; readonly replaces: number | undefined }
  /** An incident. `breaks`: what nobody may go on with; `undefined` when the certificate was given to somebody else. */
  | { readonly kind: "violated"; readonly breaks: number | undefined }
  /** One of them was violated before. */
  | { readonly kind: "frozen" }

/**
 * May the pod have this certificate? `known` are all its lineages for the identity, `find` looks up a serial in the log, and is
 * asked only when none of them knows it. Adapters call it inside the commit of the intent. @see INV-31 LIN-02..LIN-07
 */
export function judgeRenewal(
  known: readonly Lineage[],
  { quoted, key, isSole }: Renewal,
  find: (serial: string) => QuotedIssuance | undefined,
  now: Instant,
): LineageVerdict {
  if (known.some(({ broken }) => broken)) return { kind: "frozen" }
  const begins = isSole ? takeOver(known) : begin(known, now)
  if (quoted === undefined) return begins
  // The one before is quoted when its answer was lost, and then the same key asks again. Another key is another holder.
  const held = known.find((one) => one.current === quoted || (one.previous === quoted && one.key === key))
  if (held !== undefined) return { kind: "goes-on", lineage: held.id }
  const issued = find(quoted)
  if (issued === undefined) return begins
  if (!issued.isOwn) return { kind: "violated", breaks: undefined }
  const passed = known.some(({ id }) => id === issued.lineage)
  return passed ? { kind: "violated", breaks: issued.lineage } : begins
}

/** A lineage after a certificate was recorded in it. `before`: as it was; `undefined` when it begins. */
export function nextLineage(
  before: Pick<Lineage, "id" | "notAfter">,
  { quoted, key }: Pick<Renewal, "quoted" | "key">,
  { serial, notAfter }: { readonly serial: string; readonly notAfter: Instant },
): Lineage {
  const ends = Math.max(before.notAfter, notAfter)
  return { id: before.id, current: serial, previous: quoted ?? "", key, notAfter: ends, broken: false }
}

function begin(known: readonly Lineage[], now: Instant): LineageVerdict {
  const first = known.reduce<Lineage | undefined>(earlier, undefined)
  const isSpent = first !== undefined && (known.length >= MAX_LINEAGES || first.notAfter <= now)
  return { kind: "begins", replaces: isSpent ? first.id : undefined }
}

function earlier(one: Lineage | undefined, other: Lineage): Lineage {
  return one === undefined || other.notAfter < one.notAfter ? other : one
}

/** What was held before belongs to the same lineage, so whoever goes on from it is found out. */
function takeOver([first]: readonly Lineage[]): LineageVerdict {
  return first === undefined ? { kind: "begins", replaces: undefined } : { kind: "goes-on", lineage: first.id }
}

/** Of one pod and identity. @see LIN-07 */
export const MAX_LINEAGES = 8
