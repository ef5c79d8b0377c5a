import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { Intent, LoggedIssuance, Requester } from "../../ports/issuance-log.ts"
import { encodeRecipient, RECIPIENT_COLUMNS } from "./recipients.ts"
import { bytesOf, integerOf, optionalBytesOf, type SqlRow, textOf } from "./sql-row.ts"

/** The values of {@link INTENT_COLUMNS}, in order, with the text of {@link encodeRecipient} in place of the number of its row. */
export type IntentRow = readonly (string | number | null | Uint8Array)[]

export const INTENT_COLUMNS =
  "recipient, serial, kind, authority_id, epoch, not_before, not_after, created_at, evidence_digest, idempotency_key, tbs"

/** Rows for {@link parseIntent}, and with an outcome's `signature` for {@link parseIssuance}. */
export const ISSUANCE_COLUMNS = `${INTENT_COLUMNS}, ${RECIPIENT_COLUMNS}`
export const ISSUANCES = "intent JOIN recipient ON recipient.id = intent.recipient"

/** What of a row others than the log look at. */
export function keyColumns(row: IntentRow): KeyColumns {
  const [recipient, serial, kind, , epoch, , notAfter, createdAt] = row
  return { recipient, serial, kind, epoch, notAfter, createdAt } as KeyColumns // as encodeIntent put them there
}

export interface KeyColumns {
  readonly recipient: string
  readonly serial: string
  readonly kind: Intent["kind"]
  readonly epoch: number
  readonly notAfter: Instant
  readonly createdAt: Instant
}

/** The last of them are bytes, or null; the others are not. */
export const BYTE_COLUMNS = 3
export const SCALAR_COLUMNS = 8

export function encodeIntent(intent: Intent): IntentRow {
  return [
    encodeRecipient(intent),
    intent.serial,
    intent.kind,
    intent.authorityId,
    intent.epoch,
    intent.notBefore,
    intent.notAfter,
    intent.createdAt,
    intent.requester.evidenceDigest,
    intent.idempotencyKey ?? null,
    intent.tbs,
  ]
}

/** A row of {@link ISSUANCE_COLUMNS} as it was recorded. */
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
    requester: parseRequester(row),
    rule: textOf(row, "rule"),
    idempotencyKey: optionalBytesOf(row, "idempotency_key"),
  }
}

export function parseRequester(row: SqlRow): Requester {
  return { ...parseCaller(row), evidenceDigest: bytesOf(row, "evidence_digest") }
}

/** Who it was, in the columns that recipients and consumers have alike. */
export function parseCaller(row: SqlRow): Omit<Requester, "evidenceDigest"> {
  return {
    cluster: textOf(row, "cluster"),
    namespace: textOf(row, "namespace"),
    serviceAccount: textOf(row, "service_account"),
    pod: textOf(row, "pod"),
    podUid: textOf(row, "pod_uid"),
    node: textOf(row, "node"),
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
