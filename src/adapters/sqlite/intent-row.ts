import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { Intent, LoggedIssuance } from "../../ports/issuance-log.ts"
import { bytesOf, integerOf, optionalBytesOf, type SqlRow, textOf } from "./sql-row.ts"

/** The values of {@link INTENT_COLUMNS}, in order. */
export type IntentRow = readonly (string | number | null | Uint8Array)[]

export const INTENT_COLUMNS =
  "serial, kind, authority_id, epoch, spiffe_id, hint, rule, not_before, not_after, created_at, cluster, namespace, " +
  "service_account, pod, pod_uid, node, evidence_digest, idempotency_key, tbs"

/** What of a row others than the log look at. */
export function keyColumns(row: IntentRow): KeyColumns {
  const [serial, , , , spiffeId, , , , notAfter, createdAt, cluster, , , , podUid] = row
  return { serial, spiffeId, notAfter, createdAt, cluster, podUid } as KeyColumns // as encodeIntent put them there
}

export interface KeyColumns {
  readonly serial: string
  readonly spiffeId: string
  readonly notAfter: Instant
  readonly createdAt: Instant
  readonly cluster: string
  readonly podUid: string
}

/** The last of them are bytes, or null; the others are not. */
export const BYTE_COLUMNS = 3
export const SCALAR_COLUMNS = 16

export function encodeIntent(intent: Intent): IntentRow {
  const { requester } = intent
  return [
    intent.serial,
    intent.kind,
    intent.authorityId,
    intent.epoch,
    intent.spiffeId,
    intent.hint,
    intent.rule,
    intent.notBefore,
    intent.notAfter,
    intent.createdAt,
    requester.cluster,
    requester.namespace,
    requester.serviceAccount,
    requester.pod,
    requester.podUid,
    requester.node,
    requester.evidenceDigest,
    intent.idempotencyKey ?? null,
    intent.tbs,
  ]
}

/** A row of {@link INTENT_COLUMNS} as it was recorded. */
export function parseIntent(row: SqlRow): Intent {
  const kind = textOf(row, "kind")
  if (kind !== "x509" && kind !== "jwt") throw new TypeError("store: intent of unknown kind")
  return {
    serial: textOf(row, "serial"),
    kind,
    authorityId: textOf(row, "authority_id"),
    epoch: integerOf(row, "epoch"),
    spiffeId: parseSpiffeId(textOf(row, "spiffe_id")),
    hint: textOf(row, "hint"),
    tbs: bytesOf(row, "tbs"),
    notBefore: integerOf(row, "not_before"),
    notAfter: integerOf(row, "not_after"),
    createdAt: integerOf(row, "created_at"),
    requester: {
      cluster: textOf(row, "cluster"),
      namespace: textOf(row, "namespace"),
      serviceAccount: textOf(row, "service_account"),
      pod: textOf(row, "pod"),
      podUid: textOf(row, "pod_uid"),
      node: textOf(row, "node"),
      evidenceDigest: bytesOf(row, "evidence_digest"),
    },
    rule: textOf(row, "rule"),
    idempotencyKey: optionalBytesOf(row, "idempotency_key"),
  }
}

/** {@link parseIntent} with its signature, when there is one. */
export function parseIssuance(row: SqlRow): LoggedIssuance {
  return { intent: parseIntent(row), signature: optionalBytesOf(row, "signature") }
}

/** A view is sent to another thread with all of the buffer behind it, so cut it out first. */
export function compact(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)
}
