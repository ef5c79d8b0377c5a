import { z } from "zod"
import type { AuthorityFacts, ServerFacts } from "../../app/admin/describe-server.ts"
import { defineContract, instant } from "./contract.ts"
import { bindOperation, type Operation } from "./operation.ts"

const authority = z.strictObject({
  kind: z.enum(["root", "issuing", "jwt"]),
  id: z.string().describe("Hex of the subject key identifier; kid of a JWT key."),
  state: z.enum(["prepared", "published", "active", "retired", "removed"]),
  algorithm: z.string().optional(),
  not_before: instant().optional(),
  not_after: instant().optional(),
  since: instant().optional().describe("When a JWT key entered its state."),
})

export const statusShow = defineContract({
  name: "status.show",
  verb: "status",
  method: "GET",
  path: "/status",
  summary: "What this server is, and how far its consumers are",
  polled: true,
  request: z.strictObject({}),
  response: z.strictObject({
    version: z.string(),
    trust_domain: z.string(),
    incarnation: z.string().describe("Epochs compare within one incarnation only."),
    epoch: z.int(),
    now: instant(),
    ready: z.boolean(),
    rules_revision: z.string(),
    authorities: z.array(authority),
    subscribers: z.strictObject({
      count: z.int(),
      behind: z.int().describe("Streams that have not acknowledged the epoch."),
      refusing: z.int().describe("Streams whose last answer was a refusal."),
      consumers: z.int().describe("Consumers behind agents, as agents report them."),
      consumers_refusing: z.int(),
    }),
  }),
})

export const authoritiesList = defineContract({
  name: "authorities.list",
  verb: "status",
  method: "GET",
  path: "/authorities",
  summary: "The authorities of the trust domain and the issuing authority of this server",
  polled: true,
  request: z.strictObject({}),
  response: z.strictObject({ authorities: z.array(authority) }),
})

export function statusOperations(describe: () => ServerFacts): readonly Operation[] {
  return [
    bindOperation(statusShow, {
      scope: () => ({ kind: "none" }),
      handle: async () => {
        const { trustDomain, rulesRevision, authorities, subscribers, ...same } = describe()
        const { consumersRefusing, ...counts } = subscribers
        return {
          ...same,
          trust_domain: trustDomain,
          rules_revision: rulesRevision,
          authorities: authorities.map(authorityReply),
          subscribers: { ...counts, consumers_refusing: consumersRefusing },
        }
      },
    }),
    bindOperation(authoritiesList, {
      scope: () => ({ kind: "none" }),
      handle: async () => ({ authorities: describe().authorities.map(authorityReply) }),
    }),
  ]
}

function authorityReply({ notBefore, notAfter, ...same }: AuthorityFacts) {
  return {
    ...same,
    ...(notBefore === undefined ? {} : { not_before: notBefore }),
    ...(notAfter === undefined ? {} : { not_after: notAfter }),
  }
}
