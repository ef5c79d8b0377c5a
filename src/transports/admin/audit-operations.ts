import { z } from "zod"
import type { AuditRecord } from "../../core/audit/record.ts"
import { canonicalJson } from "../../core/audit/record.ts"
import { parseJsonObject } from "../../core/json.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import type { AuditFound, AuditQuery, AuditSearch, FoundRecord } from "../../ports/audit-log.ts"
import { defineContract, instant, loggedSerial, queryCount, type ResponseOf } from "./contract.ts"
import { bindOperation, type Operation, scopeOfSearch } from "./operation.ts"

const scalar = () => z.union([z.string(), z.number(), z.boolean()])
const hash = () => z.string().regex(/^[0-9a-f]{64}$/)
const whole = { min: 0, max: Number.MAX_SAFE_INTEGER }

export const auditSearch = defineContract({
  name: "audit.search",
  verb: "audit",
  method: "GET",
  path: "/audit",
  summary:
    "Find what was decided and done, newest first, a page at a time; every filter that is given must match exactly",
  request: z.strictObject({
    type: z
      .string()
      .regex(/^[a-z-]{1,32}\.[a-z-]{1,32}$/, "must be a type of record, such as svid.refused")
      .optional(),
    actor: z.string().min(1).max(1024).optional().describe("Who asked, as records write it."),
    spiffe_id: z.string().max(2048).optional().describe("The identity, or the subject of a token."),
    serial: loggedSerial().optional(),
    request_id: z.string().min(1).max(64).optional(),
    since: queryCount(whole).optional().describe("Unix seconds."),
    until: queryCount(whole).optional().describe("Unix seconds."),
    before: queryCount({ ...whole, min: 1 })
      .optional()
      .describe("Only records before this one, to go on with a search."),
    limit: queryCount({ min: 1, max: 1000 }).prefault("50").describe("At most so many, 1 to 1000. Default 50."),
  }),
  response: z.strictObject({
    trust_domain: z.string(),
    looked_from: z
      .int()
      .describe("Records from this one on were looked at, a million at most. Above 1: ask again with it as `before`."),
    records: z.array(
      z.strictObject({
        sequence: z.int().min(1),
        at: instant(),
        type: z.string(),
        actor: z.string(),
        request_id: z.string(),
        hash: hash().optional().describe("Absent for a record that is older than the chain."),
        previous_hash: hash().optional(),
        data: z.record(z.string(), z.union([scalar(), z.array(scalar())])).describe("The fields of the event."),
      }),
    ),
  }),
})

export function auditOperations(audit: AuditSearch, trustDomain: TrustDomain): readonly Operation[] {
  return [
    bindOperation(auditSearch, {
      scope: ({ spiffe_id: id }) => scopeOfSearch(id),
      target: ({ spiffe_id: id, serial, request_id: request, type }) => id ?? serial ?? request ?? type ?? "",
      handle: async (request) => auditReply(trustDomain, await audit.search(queryOf(request))),
    }),
  ]
}

/** What {@link auditSearch} answered, as the store has it. */
export function auditFoundOf({ looked_from: lookedFrom, records }: ResponseOf<typeof auditSearch>): AuditFound {
  return { lookedFrom, records: records.map(foundOf) }
}

function foundOf(row: ResponseOf<typeof auditSearch>["records"][number]): FoundRecord {
  const { request_id: requestId, previous_hash: previous, data, hash: ownHash, ...rest } = row
  return { record: { ...rest, requestId, data: canonicalJson(data), hash: ownHash }, previous }
}

function queryOf(request: z.output<typeof auditSearch.request>): AuditQuery {
  const { spiffe_id: spiffeId, request_id: requestId, limit, ...rest } = request
  const filters = Object.entries({ spiffeId, requestId, ...rest }).filter(([, value]) => value !== undefined)
  return { limit, ...Object.fromEntries(filters) }
}

function auditReply(
  trustDomain: TrustDomain,
  { records, lookedFrom }: AuditFound,
): z.input<typeof auditSearch.response> {
  return {
    trust_domain: trustDomain,
    looked_from: lookedFrom,
    records: records.map(({ record, previous }) => {
      const { sequence, at, type, actor, requestId, hash: ownHash } = record
      return {
        ...{ sequence, at, type, actor, request_id: requestId },
        ...(ownHash === undefined ? {} : { hash: ownHash }),
        ...(previous === undefined ? {} : { previous_hash: previous }),
        data: dataOf(record),
      }
    }),
  }
}

/** Checked by the contract on its way out. */
function dataOf({ data }: AuditRecord): z.input<typeof auditSearch.response>["records"][number]["data"] {
  return parseJsonObject(data) as z.input<typeof auditSearch.response>["records"][number]["data"]
}
