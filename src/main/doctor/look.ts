import type { FailedLook, Look } from "../../core/doctor/facts.ts"
import { type ErrorCode, IdentityError } from "../../core/errors.ts"
import { nextStepOf, UsageError } from "../command-failure.ts"
import { ConfigError } from "../config/problem.ts"

/** Whatever is wrong becomes what is seen: a doctor does not fail because the patient is ill. @throws UsageError */
export async function look<Seen>(at: () => Seen | Promise<Seen>): Promise<Look<Seen>> {
  try {
    return { kind: "seen", seen: await at() }
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    return { kind: "failed", ...reasonOf(thrown) }
  }
}

function reasonOf(thrown: unknown): Omit<FailedLook, "kind"> {
  if (thrown instanceof ConfigError) return { why: thrown.message }
  if (thrown instanceof IdentityError) {
    const cause =
      thrown.code === "attestor-down" && thrown.cause instanceof Error
        ? ` (${thrown.cause.message.slice(0, MAX_CAUSE)})`
        : ""
    const step = nextStepOf(thrown)
    const next = step === undefined ? {} : { next: step }
    return { why: `${thrown.message}${cause}`, ...next, ...(REFUSALS.has(thrown.code) ? { refused: true } : {}) }
  }
  const isForbidden = thrown instanceof Error && "code" in thrown && thrown.code === "EACCES"
  const next = isForbidden
    ? { next: "run it as root or as the user of assay server, or let that user have the file" }
    : {}
  return { why: thrown instanceof Error ? thrown.message : "cannot be looked at", ...next }
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["policy-denied", "unauthenticated"])
const MAX_CAUSE = 200
