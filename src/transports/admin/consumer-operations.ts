import { z } from "zod"
import type { ConsumerFilter, ListConsumers } from "../../app/rotate/list-consumers.ts"
import type { ConsumerRow } from "../../core/authority/evidence.ts"
import { defineContract, instant, queryCount } from "./contract.ts"
import { bindOperation, type Operation } from "./operation.ts"

const name = () => z.string().min(1).max(253)
const kind = () => z.enum(["sds", "workload-api", "file", "agent"])
const grade = () => z.enum(["sds-ack", "subscription-ack", "trust-probe", "quoted-epoch", "lease"])

export const consumersList = defineContract({
  name: "consumers.list",
  verb: "status",
  method: "GET",
  path: "/consumers",
  summary:
    "Show who holds certificates and bundles and what each has proven, those that refused first, then the furthest behind",
  request: z.strictObject({
    cluster: name().optional(),
    namespace: name().optional(),
    pod: name().optional(),
    kind: kind().optional(),
    grade: grade().optional(),
    behind: queryCount({ min: 1, max: Number.MAX_SAFE_INTEGER })
      .optional()
      .describe("Only those that have not proven to hold this epoch."),
    limit: queryCount({ min: 1, max: 1000 }).prefault("100").describe("At most so many, 1 to 1000. Default 100."),
  }),
  response: z.strictObject({
    total: z.int().describe("How many match, listed or not."),
    consumers: z.array(
      z.strictObject({
        id: z.string(),
        spiffe_id: z.string().optional().describe("Absent: it only verifies."),
        cluster: z.string(),
        namespace: z.string(),
        pod: z.string(),
        node: z.string(),
        kind: kind(),
        grade: grade(),
        live: z.boolean(),
        epoch: z.int(),
        nack_reason: z.string().optional(),
        issuers: z.array(z.string()),
        not_after: instant(),
        last_contact: instant(),
      }),
    ),
  }),
})

export function consumerOperations(list: ListConsumers): readonly Operation[] {
  return [
    bindOperation(consumersList, {
      scope: () => ({ kind: "trust-domain" }),
      handle: async (request) => {
        const { consumers, total } = await list(filterOf(request))
        return { total, consumers: consumers.map(consumerReply) }
      },
    }),
  ]
}

function filterOf({ limit, ...rest }: z.output<typeof consumersList.request>): ConsumerFilter {
  return { limit, ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) }
}

function consumerReply(row: ConsumerRow) {
  const { spiffeId, nackReason, notAfter, lastContact, issuers, ...rest } = row
  return {
    ...rest,
    ...(spiffeId === undefined ? {} : { spiffe_id: spiffeId }),
    ...(nackReason === undefined ? {} : { nack_reason: nackReason }),
    issuers: [...issuers],
    not_after: notAfter,
    last_contact: lastContact,
  }
}
