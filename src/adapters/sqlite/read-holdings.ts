import type { DatabaseSync } from "node:sqlite"
import { type Held, holderKey } from "../../core/authority/holder.ts"
import { IdentityError } from "../../core/errors.ts"
import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { Holdings } from "../../ports/consumers.ts"
import { parseHolder } from "./consumer-row.ts"
import { integerOf, type SqlRow, textOf } from "./sql-row.ts"

export interface HoldingRows {
  readonly held: readonly SqlRow[]
  readonly tokens: readonly SqlRow[]
}

export function readHoldingRows(db: DatabaseSync, now: Instant): HoldingRows {
  return { held: readHeldRows(db, now), tokens: db.prepare(TOKENS).all(now) }
}

/** Costs what is unexpired, not what is in the log. @throws IdentityError `not-ready` when there are too many holders */
export function readHeldRows(db: DatabaseSync, now: Instant): readonly SqlRow[] {
  const held = db.prepare(HELD).all(now, MAX_ROWS + 1)
  if (held.length > MAX_ROWS)
    throw new IdentityError("not-ready", "too many holders of certificates to look at at once")
  return held
}

/** @param held the rows in parts, in the order in which they were read */
export async function parseHoldings(
  held: Iterable<readonly SqlRow[]> | AsyncIterable<readonly SqlRow[]>,
  tokens: readonly SqlRow[],
): Promise<Holdings> {
  const found = new Map<string, Held>()
  for await (const rows of held) addHeld(found, rows)
  const lastTokens = new Map(tokens.map((row) => [textOf(row, "authority_id"), integerOf(row, "last")]))
  return { held: [...found.values()], lastTokens }
}

/** Add what `rows` say to what was found before, and say what there is then. */
export function addHeld(found: Map<string, Held>, rows: readonly SqlRow[]): ReadonlyMap<string, Held> {
  for (const row of rows) {
    const next = parseHeld(row)
    const key = `${next.spiffeId} ${holderKey(next.holder)}`
    found.set(key, merged(found.get(key), next))
  }
  return found
}

function parseHeld(row: SqlRow): Held {
  return {
    holder: parseHolder(row),
    spiffeId: parseSpiffeId(textOf(row, "spiffe_id")),
    roots: [{ keyId: textOf(row, "root_key_id"), notAfter: integerOf(row, "not_after") }],
    notAfter: integerOf(row, "not_after"),
    lastIssued: integerOf(row, "last_issued"),
  }
}

function merged(before: Held | undefined, next: Held): Held {
  if (before === undefined) return next
  return {
    ...before,
    roots: [...before.roots, ...next.roots],
    notAfter: Math.max(before.notAfter, next.notAfter),
    lastIssued: Math.max(before.lastIssued, next.lastIssued),
  }
}

/**
 * An SVID does not outlive its issuer, so issuers that expired have nothing to look at. Names of a pod are those of its UID. The
 * index has the ends in steps of 256 s: they are jittered, and one that had them exactly would cost each intent a page of log. A
 * number is bound as a REAL, whose division is another one.
 */
const HELD = `
SELECT spiffe_id, cluster, namespace, service_account, pod, pod_uid, max(node) AS node,
  CASE pod_uid WHEN '' THEN lower(hex(evidence_digest)) ELSE '' END AS proof,
  root_key_id, max(intent.not_after) AS not_after, max(created_at) AS last_issued
FROM issuing_authority AS issuer
CROSS JOIN intent ON intent.authority_id = issuer.authority_id AND intent.not_after / 256 >= CAST(?1 AS INTEGER) / 256 AND intent.not_after > ?1
CROSS JOIN recipient ON recipient.id = intent.recipient
WHERE issuer.not_after > ?1 AND kind = 'x509'
GROUP BY spiffe_id, cluster, namespace, service_account, pod, pod_uid, proof, root_key_id
LIMIT ?2`
/** One look into the index for each key, however many tokens it signed. */
const TOKENS = `
WITH RECURSIVE signer (authority_id) AS (
  SELECT min(authority_id) FROM intent WHERE kind = 'jwt'
  UNION ALL
  SELECT (SELECT min(authority_id) FROM intent WHERE kind = 'jwt' AND authority_id > signer.authority_id) FROM signer
  WHERE authority_id IS NOT NULL
), signed (authority_id, last) AS (
  SELECT authority_id, (SELECT max(not_after) FROM intent WHERE kind = 'jwt' AND authority_id = signer.authority_id) FROM signer
  WHERE authority_id IS NOT NULL
)
SELECT authority_id, last FROM signed
WHERE last > ?`
const MAX_ROWS = 200_000
