import type { Check, CheckedFinding } from "./check.ts"
import type { DoctorFacts } from "./facts.ts"
import { MACHINE_CHECKS } from "./machine-checks.ts"
import { SERVER_CHECKS } from "./server-checks.ts"

/** Every check there is, in the order in which they are shown. @see ADM-35 */
export const CHECKS: readonly Check[] = [...MACHINE_CHECKS, ...SERVER_CHECKS]

export function runChecks(facts: DoctorFacts): readonly CheckedFinding[] {
  return CHECKS.flatMap(({ name, run }) => run(facts).map((finding) => ({ check: name, ...finding })))
}
