import type { DoctorFacts, Look } from "./facts.ts"

/** `info` needs nobody; `warning` needs somebody some day; `critical` needs somebody now. */
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  readonly severity: Severity
  readonly finding: string
  /** What to do; absent when nothing is. */
  readonly next?: string
}

/** One concern. Nothing is found where there is nothing to look at. */
export interface Check {
  readonly name: string
  readonly run: (facts: DoctorFacts) => readonly Finding[]
}

export interface CheckedFinding extends Finding {
  readonly check: string
}

export function ok(finding: string): Finding {
  return { severity: "ok", finding }
}

export function info(finding: string): Finding {
  return { severity: "info", finding }
}

export function warning(finding: string, next: string): Finding {
  return { severity: "warning", finding, next }
}

export function critical(finding: string, next: string): Finding {
  return { severity: "critical", finding, next }
}

/** The finding about what was seen, or the failure to see it. */
export function judge<Seen>(
  look: Look<Seen>,
  judgeSeen: (seen: Seen) => Finding,
  failed: { readonly severity: "info" | "warning" | "critical"; readonly next: string },
): Finding {
  if (look.kind === "seen") return judgeSeen(look.seen)
  // Nothing is wrong with what was not looked at.
  const severity = look.forbidden === true ? "warning" : failed.severity
  return { severity, finding: look.why, next: look.next ?? failed.next }
}

/** @see ADM-36 */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ severity }) => severity === "critical")) return 2
  return findings.some(({ severity }) => severity === "warning") ? 1 : 0
}

export const SEVERITIES = ["ok", "info", "warning", "critical"] as const
