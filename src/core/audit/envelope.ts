import { IdentityError } from "../errors.ts"
import { type Json, type JsonObject, parseJsonObject } from "../json.ts"
import type { AuditRecord } from "./record.ts"
import { canonicalJson } from "./record.ts"

/**
 * A record as CloudEvents 1.0 in JSON, one line without its end. `data` is what the record holds, with actor, request id and
 * decision; a record is the same in every copy, by its `id`. @param previous hash of the record before, where it has one
 * @see AUD-20
 */
export function encodeEnvelope(trustDomain: string, record: AuditRecord, previous: string | undefined): string {
  const { sequence, at, type, actor, requestId, hash } = record
  const fields = parseJsonObject(record.data)
  const subject = [fields["spiffeId"], fields["subject"]].find((name) => typeof name === "string" && name !== "")
  return JSON.stringify({
    specversion: "1.0",
    id: `${sequence}-${hash?.slice(0, 16) ?? "unchained"}`,
    source: `spiffe://${trustDomain}`,
    type: `${PREFIX}${type}${SUFFIX}`,
    time: new Date(at * 1000).toISOString(),
    ...(subject === undefined ? {} : { subject }),
    datacontenttype: "application/json",
    sequence: String(sequence),
    ...(hash === undefined ? {} : { previoushash: previous, hash }),
    data: { actor, requestId, decision: decisionOf(type), ...fields },
  })
}

/** The record of a line that {@link encodeEnvelope} made. @throws IdentityError `malformed` */
export function parseEnvelope(line: string): AuditRecord {
  const { type, time, sequence, hash, data } = parseJsonObject(line)
  if (typeof type !== "string" || !type.startsWith(PREFIX) || !type.endsWith(SUFFIX)) throw foreign()
  const at = typeof time === "string" ? Date.parse(time) / 1000 : Number.NaN
  if (typeof sequence !== "string" || !/^[1-9]\d{0,15}$/.test(sequence) || !Number.isInteger(at)) throw foreign()
  const { actor, requestId, decision: _said, ...fields } = objectIn(data)
  if (typeof actor !== "string" || typeof requestId !== "string") throw foreign()
  return {
    sequence: Number(sequence),
    at,
    type: type.slice(PREFIX.length, -SUFFIX.length),
    actor,
    requestId,
    data: hash === undefined ? JSON.stringify(fields) : canonicalJson(fields),
    hash: typeof hash === "string" ? hash : undefined,
  }
}

function objectIn(value: Json | undefined): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw foreign()
  return value as JsonObject // neither null nor a list
}

function decisionOf(type: string): "permit" | "deny" | "record" {
  if (type.endsWith(".granted") || type === "admin.permitted") return "permit"
  return type.endsWith(".refused") || type === "lineage.violated" ? "deny" : "record"
}

function foreign(): IdentityError {
  return new IdentityError("malformed", "not a line of an audit log")
}

const PREFIX = "io.assay."
const SUFFIX = ".v1"
