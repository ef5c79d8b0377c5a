import { z } from "zod"
import { defineContract, instant } from "./contract.ts"

const late = z.strictObject({
  id: z.string(),
  kind: z.enum(["consumer", "replica", "time"]),
  reason: z.string().describe("Stable: why it is waited for."),
  detail: z.string().describe("Why a consumer refused; empty otherwise."),
  spiffe_id: z.string(),
  namespace: z.string(),
  node: z.string(),
  grade: z.string().describe("How it proves what it trusts; empty for what is no consumer."),
  until: instant().optional().describe("When the wait ends by itself at the latest; absent when it does not."),
})

const kind = z
  .enum(["x509", "jwt"])
  .default("x509")
  .describe("What is rotated: the X.509 root or the JWT keys. They rotate apart from each other. Default x509.")

const lateList = z.array(late).describe("The first 1,000.")

/** Where a rotation stands. Absent members: nothing is under way. */
const standing = {
  now: instant(),
  kind: z.enum(["x509", "jwt"]),
  phase: z.string(),
  rotation: z.string().optional(),
  old: z
    .string()
    .optional()
    .describe(
      "What is to be replaced: key identifier of the root, in hex; kids of JWT keys, with a plus between them.",
    ),
  next: z.string().optional().describe("The same of the new one, once it is made."),
  others: z.array(z.string()).optional().describe("What leaves together with old: an emergency takes out everything."),
  since: instant().optional().describe("When it entered the phase."),
  started_at: instant().optional(),
  auto: z.boolean().optional(),
  stopped: z.string().optional().describe("Why it is not automatic any more."),
  paused: z.boolean().optional(),
  emergency: z.boolean().optional(),
}

export const rotationStatus = defineContract({
  name: "rotation.status",
  verb: "status",
  method: "GET",
  path: "/rotation",
  summary: "Where a rotation stands, and who is waited for",
  polled: true,
  request: z.strictObject({ kind }),
  response: z.strictObject({
    ...standing,
    consumers: z.int(),
    to: z.string().optional().describe("The next phase."),
    decision: z.boolean().optional().describe("Somebody must want it, or auto be on."),
    point: z.string().optional().describe("The safe point that is waited for."),
    late_count: z.int(),
    late: lateList,
    until: instant().optional().describe("When nobody is late any more at the latest."),
    waivers: z.array(
      z.strictObject({ point: z.string(), by: z.string(), reason: z.string(), at: instant(), consumers: z.int() }),
    ),
  }),
})

export const rotationPlan = defineContract({
  name: "rotation.plan",
  verb: "rotation",
  method: "GET",
  path: "/rotation/plan",
  summary: "What a rotation would wait for; nothing is changed",
  request: z.strictObject({ kind }),
  response: z.strictObject({
    now: instant(),
    kind: z.enum(["x509", "jwt"]),
    old: z.string(),
    namespaces: z.array(z.strictObject({ namespace: z.string(), holders: z.int(), never_acknowledge: z.int() })),
    silent_count: z.int(),
    silent: z.array(late).describe("Who can prove nothing, and why. The first 1,000."),
    trusted_by: instant().optional().describe("When everybody could trust the new one, at the latest (SP1)."),
    drained_by: instant().optional().describe("When nothing of the old one would be left, at the latest (SP2)."),
    restart_readers: z
      .boolean()
      .describe(
        "Who reads the server's roots once, at its start, has to be started anew: the old root cannot vouch for the new one.",
      ),
  }),
})

const outcome = z.strictObject({
  ...standing,
  changed: z.boolean().describe("False for a dry run."),
  late_count: z.int().describe("Whom the step would leave behind; of a dry run."),
  late: lateList,
  not_waived: z
    .array(z.string())
    .optional()
    .describe("Of a waiver: the first 1,000 that it named and nobody waits for now. They are not waived."),
})

function step<Request extends z.ZodObject>(
  verb: string,
  summary: string,
  request: Request,
  more: { readonly destructive?: true } = {},
) {
  return defineContract({
    name: `rotation.${verb}`,
    verb: "rotation",
    method: "POST",
    path: `/rotation/${verb}`,
    summary,
    request,
    response: outcome,
    ...more,
  })
}

const none = z.strictObject({ kind })
const waiver = {
  kind,
  reason: z.string().min(1).max(1024).describe("Why nobody waits for them; recorded."),
  consumers: z
    .union([z.literal("all"), z.array(z.string().min(1).max(4096)).min(1).max(10_000)])
    .describe('Ids of late parties, or "all": whoever is late then.'),
}

export const rotationStart = step(
  "start",
  "Begin to rotate",
  z.strictObject({
    kind,
    auto: z.boolean().default(false).describe("Take steps that need a decision as soon as evidence allows."),
    canary_namespaces: z.array(z.string().min(1).max(253)).max(64).default([]).describe("For a root alone."),
    canary_prefixes: z.array(z.string().min(1).max(2048)).max(64).default([]),
  }),
)
export const rotationAdvance = step("advance", "Take the next step, which evidence must allow", none)
export const rotationPause = step("pause", "Take no step until resumed", none)
export const rotationResume = step("resume", "Go on", z.strictObject({ kind, auto: z.boolean().default(false) }))
export const rotationRollback = step("rollback", "Sign with the old one again; both stay trusted", none)
export const rotationAbort = step(
  "abort",
  "Give the new one up and take it out of the bundle; without a waiver, once nothing that it signed is alive",
  z.strictObject({ kind, reason: waiver.reason.optional(), consumers: waiver.consumers.optional() }),
  { destructive: true },
)
export const rotationWaive = step("waive", "Do not wait for these", z.strictObject(waiver), { destructive: true })
export const rotationEmergency = step(
  "emergency",
  "Keys are stolen: make a fresh one, sign with it and distrust every other of this kind, prepared ones too, all at once",
  z.strictObject({
    ...waiver,
    again: z.boolean().default(false).describe("Also when an emergency is under way, whose new one is stolen, too."),
  }),
  { destructive: true },
)

export const ROTATION_CONTRACTS = [
  rotationStatus,
  rotationPlan,
  rotationStart,
  rotationAdvance,
  rotationPause,
  rotationResume,
  rotationRollback,
  rotationAbort,
  rotationWaive,
  rotationEmergency,
] as const
