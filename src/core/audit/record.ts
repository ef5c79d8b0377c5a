import type { Instant } from "../time.ts"
import type { AuditEvent } from "./event.ts"

/** An event as it is kept: what every event has, and the rest as canonical JSON. */
export interface AuditEntry {
  readonly at: Instant
  readonly type: string
  readonly actor: string
  readonly requestId: string
  /** A JSON object in the form of RFC 8785: members sorted, no white space. */
  readonly data: string
}

/** An entry in its place. */
export interface AuditRecord extends AuditEntry {
  /** 1 and on, without holes. */
  readonly sequence: number
  /** Hex of SHA-256; `undefined` for a record that is older than the chain. @see AUD-10 */
  readonly hash: string | undefined
}

export function entryOf(event: AuditEvent): AuditEntry {
  const { at, type, actor, requestId, ...data } = event
  // What is no Unicode would be stored as something else than what was hashed.
  return { at, type, actor: actor.toWellFormed(), requestId: requestId.toWellFormed(), data: canonicalJson(data) }
}

/**
 * RFC 8785 for the flat objects that events are: values are scalars or lists of scalars. What is written often has its members in
 * order already, and costs a third.
 */
export function canonicalJson(object: Readonly<Record<string, unknown>>): string {
  if (isSorted(object)) return JSON.stringify(object)
  const members = Object.keys(object)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${JSON.stringify(object[name])}`)
  return `{${members.join(",")}}`
}

function isSorted(object: Readonly<Record<string, unknown>>): boolean {
  let last = ""
  for (const name in object) {
    if (name < last) return false
    last = name
  }
  return true
}
