import { z } from "zod"
import type { AuthorityFacts, ServerFacts } from "../../app/admin/describe-server.ts"
import type { FederatedFacts } from "../../app/federate/federated-trust.ts"
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

const federated = z.strictObject({
  trust_domain: z.string(),
  in_force: z
    .enum(["file", "kept", "none"])
    .describe("kept: its file is bad, and the last good bundle is in force. none: it is not trusted."),
  stored: z.boolean().describe("What is in force is in the store, too, for a start at which the file is bad."),
  sequence: z.int().optional().describe("spiffe_sequence of what is in force."),
  refresh_hint: z.int().optional().describe("Seconds."),
  x509_authorities: z.int().describe("How many are in force."),
  jwt_authorities: z.int(),
  accepted_at: instant().optional().describe("When this content was first read."),
  trouble: z.string().optional().describe("What is wrong with its file."),
  trouble_since: instant().optional(),
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
    federation: z.array(federated).describe("Other trust domains, as configured."),
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
        const { trustDomain, rulesRevision, authorities, federation, subscribers, ...same } = describe()
        const { consumersRefusing, ...counts } = subscribers
        return {
          ...same,
          trust_domain: trustDomain,
          rules_revision: rulesRevision,
          authorities: authorities.map(authorityReply),
          federation: federation.map(federatedReply),
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

function federatedReply({ trustDomain, inForce, stored, bundle, trouble }: FederatedFacts) {
  return {
    trust_domain: trustDomain,
    in_force: inForce,
    stored,
    ...(bundle === undefined ? {} : { sequence: bundle.sequence, accepted_at: bundle.acceptedAt }),
    ...(bundle?.refreshHint === undefined ? {} : { refresh_hint: bundle.refreshHint }),
    x509_authorities: bundle?.x509Authorities ?? 0,
    jwt_authorities: bundle?.jwtAuthorities ?? 0,
    ...(trouble === undefined ? {} : { trouble: trouble.reason, trouble_since: trouble.since }),
  }
}
