import type { StepResult } from "./step.ts"

/** One object on one line: `{"steps":[{"name","ok","ms","detail"}]}`. */
export function reportJson(results: readonly StepResult[]): string {
  const steps = results.map(({ name, ok, ms, facts }) => ({ name, ok, ms, detail: facts.join("; ") }))
  return `${JSON.stringify({ steps })}\n`
}

/** A step for people: what it shows, then a line for each fact. */
export function reportStep({ name, shows, ok, ms, facts }: StepResult): string {
  const head = `${ok ? "ok    " : "FAILED"}  ${name}: ${shows} (${ms} ms)`
  return [head, ...facts.flatMap((fact) => fact.split("\n")).map((line) => `          ${line}`), ""].join("\n")
}

/** The last line. */
export function reportEnd(results: readonly StepResult[], ms: number): string {
  const failed = results.filter(({ ok }) => !ok).map(({ name }) => name)
  const outcome = failed.length === 0 ? `all ${results.length} steps ok` : `failed: ${failed.join(", ")}`
  return `${outcome}, in ${(ms / 1000).toFixed(1)} s\n`
}
