import type { DatabaseSync } from "node:sqlite"
import { certifiedKeyName } from "../../core/ban/key-name.ts"
import { IdentityError } from "../../core/errors.ts"
import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { KeyHolder } from "../../ports/consumers.ts"
import { parseHolder } from "./consumer-row.ts"
import { integerOf, type SqlRow, textOf } from "./sql-row.ts"

/**
 * For which key a certificate is stands in its recorded bytes alone, so each one that has not expired is read and hashed: some
 * microseconds each, at a ban of a key, in place of a column that every issuance would write.
 * @throws IdentityError `not-ready` when there are too many holders
 */
export function readKeyHolderRows(db: DatabaseSync, keys: readonly string[], now: Instant): readonly SqlRow[] {
  db.function("certified_key_name", { deterministic: true }, (tbs) =>
    tbs instanceof Uint8Array ? certifiedKeyName(tbs) : "",
  )
  const rows = db.prepare(KEY_HOLDERS).all(now, JSON.stringify(keys), MAX_ROWS + 1)
  if (rows.length > MAX_ROWS) throw new IdentityError("not-ready", "too many hold certificates for this key")
  return rows
}

export function parseKeyHolder(row: SqlRow): KeyHolder {
  return {
    key: textOf(row, "key_name"),
    holder: parseHolder(row),
    spiffeId: parseSpiffeId(textOf(row, "spiffe_id")),
    notAfter: integerOf(row, "not_after"),
  }
}

// The way to what has not expired is that of the holdings.
const KEY_HOLDERS = `
SELECT certified_key_name(tbs) AS key_name, spiffe_id, cluster, namespace, service_account, pod, pod_uid, max(node) AS node,
  CASE pod_uid WHEN '' THEN lower(hex(evidence_digest)) ELSE '' END AS proof, max(intent.not_after) AS not_after
FROM issuing_authority AS issuer
CROSS JOIN intent ON intent.authority_id = issuer.authority_id AND intent.not_after / 256 >= CAST(?1 AS INTEGER) / 256 AND intent.not_after > ?1
CROSS JOIN recipient ON recipient.id = intent.recipient
WHERE issuer.not_after > ?1 AND kind = 'x509' AND certified_key_name(tbs) IN (SELECT value FROM json_each(?2))
GROUP BY key_name, spiffe_id, cluster, namespace, service_account, pod, pod_uid, proof
LIMIT ?3`
const MAX_ROWS = 200_000
