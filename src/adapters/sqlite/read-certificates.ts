import type { DatabaseSync } from "node:sqlite"
import type { Instant } from "../../core/time.ts"
import type { PodOfCluster } from "../../ports/consumers.ts"
import { integerOf } from "./sql-row.ts"

/** A pod, and the moment at which its certificate has to be good. */
export interface CertificateQuestion extends PodOfCluster {
  readonly now: Instant
}

/** Whether each of them has one, in order. */
export function readCertificates(db: DatabaseSync, asked: readonly CertificateQuestion[]): readonly boolean[] {
  const held = db.prepare(HELD)
  return asked.map(
    ({ cluster, namespace, pod, podUid, now }) =>
      integerOf(held.get(cluster, namespace, pod, podUid, now, MAX_LOOKED_AT), "held") === 1,
  )
}

/** The newest come first, so whoever has one is found after the tokens that it was given since. */
const HELD = `SELECT EXISTS (
  SELECT 1 FROM recipient WHERE cluster = ?1 AND namespace = ?2 AND pod = ?3 AND pod_uid = ?4 AND EXISTS (
    SELECT 1 FROM (SELECT kind, not_after FROM intent WHERE recipient = recipient.id ORDER BY id DESC LIMIT ?6)
    WHERE kind = 'x509' AND not_after > ?5
  )
) AS held`
const MAX_LOOKED_AT = 10_000
