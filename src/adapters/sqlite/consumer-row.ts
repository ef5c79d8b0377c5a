import type { SQLInputValue } from "node:sqlite"
import type { ConsumerRecord } from "../../ports/consumers.ts"
import { parseCaller } from "./intent-row.ts"
import { integerOf, optionalIntegerOf, type SqlRow, textOf } from "./sql-row.ts"

export const CONSUMER_COLUMNS =
  "id, cluster, namespace, service_account, pod, pod_uid, node, proof, name, kind, nack_reason, not_after, last_contact, left_at"

/** The values of {@link CONSUMER_COLUMNS}, in order. */
export function encodeConsumer(record: ConsumerRecord): readonly SQLInputValue[] {
  const { holder } = record
  return [
    record.id,
    holder.cluster,
    holder.namespace,
    holder.serviceAccount,
    holder.pod,
    holder.podUid,
    holder.node,
    holder.proof,
    record.name,
    record.kind,
    record.nackReason ?? null,
    record.notAfter,
    record.lastContact,
    record.leftAt ?? null,
  ]
}

export function parseConsumer(row: SqlRow): ConsumerRecord {
  const kind = KINDS.find((known) => known === row["kind"])
  if (kind === undefined) throw new TypeError("store: consumer of unknown kind")
  return {
    id: textOf(row, "id"),
    holder: parseHolder(row),
    name: textOf(row, "name"),
    kind,
    nackReason: row["nack_reason"] === null ? undefined : textOf(row, "nack_reason"),
    notAfter: integerOf(row, "not_after"),
    lastContact: integerOf(row, "last_contact"),
    leftAt: optionalIntegerOf(row, "left_at"),
  }
}

export function parseHolder(row: SqlRow): ConsumerRecord["holder"] {
  return { ...parseCaller(row), proof: textOf(row, "proof") }
}

const KINDS = ["sds", "workload-api", "file", "agent"] as const
