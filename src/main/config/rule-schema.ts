import { z } from "zod"
import { duration } from "./units.ts"
import { label, oneOrMore, setOf, text, trustDomain } from "./values.ts"

/** One identity rule as written. What its templates and condition mean is checked by `core/rules`. */
export const ruleSchema = z.strictObject({
  name: label().describe("Name of the rule in log, audit and explain. Unique."),
  cluster: oneOrMore(text(128)).optional().describe("Clusters that the rule is for: a name or a list. Default: any."),
  namespace: oneOrMore(text(63))
    .optional()
    .describe("Namespaces that the rule is for: a name or a list. Default: any."),
  service_account: oneOrMore(text(253))
    .optional()
    .describe("Service accounts that the rule is for: a name or a list. Default: any."),
  when: text(4096)
    .optional()
    .describe(
      'CEL condition over the caller, e.g. subject.pod.name.startsWith("web-"). One that fails is no match. Default: always.',
    ),
  spiffe_id: text(2048).describe(
    "Template of the ID's path, e.g. /ns/{{namespace}}/sa/{{service_account}}. Variables: cluster, namespace, service_account, pod, pod_uid, node, node_uid.",
  ),
  x509_ttl: duration({ min: "5s", max: "30d" })
    .optional()
    .describe("Life of X.509-SVIDs of this rule. Default: x509.ttl."),
  jwt_ttl: duration({ min: "10s", max: "24h" })
    .optional()
    .describe("Life of JWT-SVIDs of this rule, at most jwt.ttl. Default: jwt.ttl."),
  dns_names: z
    .array(text(512))
    .max(32)
    .default([])
    .describe("Templates of DNS names for the X.509-SVID, beside its ID. Default: none."),
  audiences: setOf(text(255), { min: 1, max: 64 })
    .optional()
    .describe("Audiences that a JWT-SVID may be made for. Default: any."),
  federates_with: z
    .array(trustDomain())
    .max(64)
    .default([])
    .describe("Trust domains whose bundles the workload gets, each configured under federation. Default: none."),
  hint: text(1024)
    .optional()
    .describe("Hint for workloads with several identities; of equal ones the first rule keeps it. Default: none."),
})
