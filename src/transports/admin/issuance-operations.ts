import { z } from "zod"
import type { IssuanceLog, IssuanceQuery, LoggedIssuance } from "../../ports/issuance-log.ts"
import { defineContract, instant, loggedSerial, queryCount } from "./contract.ts"
import { bindOperation, type Operation, scopeOfSearch } from "./operation.ts"

const name = () => z.string().min(1).max(253)

export const issuanceSearch = defineContract({
  name: "issuance.search",
  verb: "issuances",
  method: "GET",
  path: "/issuances",
  summary: "Find what was issued, newest first; every filter that is given must match exactly",
  request: z.strictObject({
    spiffe_id: z.string().max(2048).optional(),
    serial: loggedSerial().optional(),
    cluster: name().optional(),
    namespace: name().optional(),
    pod: name().optional(),
    kind: z.enum(["x509", "jwt"]).optional(),
    since: queryCount({ min: 0, max: Number.MAX_SAFE_INTEGER }).optional().describe("Unix seconds."),
    limit: queryCount({ min: 1, max: 1000 }).prefault("50").describe("At most so many, 1 to 1000. Default 50."),
  }),
  response: z.strictObject({
    more: z.boolean().describe("Older ones match, too: narrow the search, or ask for up to 1000."),
    issuances: z.array(
      z.strictObject({
        serial: z.string(),
        kind: z.enum(["x509", "jwt"]),
        outcome: z.enum(["issued", "unknown"]),
        spiffe_id: z.string(),
        issued_at: instant(),
        not_before: instant(),
        not_after: instant(),
        authority: z.string(),
        epoch: z.int(),
        rule: z.string(),
        requester: z.strictObject({
          cluster: z.string(),
          namespace: z.string(),
          service_account: z.string(),
          pod: z.string(),
          pod_uid: z.string(),
          node: z.string(),
        }),
      }),
    ),
  }),
})

export function issuanceOperations(log: Pick<IssuanceLog, "search">): readonly Operation[] {
  return [
    bindOperation(issuanceSearch, {
      scope: ({ spiffe_id: id }) => scopeOfSearch(id),
      target: ({ spiffe_id: id, serial }) => id ?? serial ?? "",
      handle: async (request) => {
        const { found, more } = await searchPage(log, queryOf(request))
        return { more, issuances: found.map(issuanceReply) }
      },
    }),
  ]
}

/** The newest that match, and whether there are more. @param query with a limit of 1 to 1000 */
export async function searchPage(
  log: Pick<IssuanceLog, "search">,
  query: IssuanceQuery,
): Promise<{ readonly found: readonly LoggedIssuance[]; readonly more: boolean }> {
  const found = await log.search({ ...query, limit: query.limit + 1 })
  return { found: found.slice(0, query.limit), more: found.length > query.limit }
}

function queryOf({ spiffe_id: spiffeId, limit, ...rest }: z.output<typeof issuanceSearch.request>): IssuanceQuery {
  const filters = Object.entries({ spiffeId, ...rest }).filter(([, value]) => value !== undefined)
  return { limit, ...Object.fromEntries(filters) }
}

function issuanceReply({ intent, signature }: LoggedIssuance) {
  const { cluster, namespace, serviceAccount, pod, podUid, node } = intent.requester
  const outcome: "issued" | "unknown" = signature === undefined ? "unknown" : "issued"
  return {
    serial: intent.serial,
    kind: intent.kind,
    outcome,
    spiffe_id: intent.spiffeId,
    issued_at: intent.createdAt,
    not_before: intent.notBefore,
    not_after: intent.notAfter,
    authority: intent.authorityId,
    epoch: intent.epoch,
    rule: intent.rule,
    requester: { cluster, namespace, service_account: serviceAccount, pod, pod_uid: podUid, node },
  }
}
