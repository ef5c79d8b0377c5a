import type { Millis } from "../../core/time.ts"
import type { World } from "./world.ts"

/** One thing that the demo shows. */
export interface Step {
  readonly name: string
  /** In one line, for people. */
  readonly shows: string
  /** The longest that it may take; default that of all steps. */
  readonly within?: Millis
  /** @returns what was measured, one fact each; @throws Error that says what is wrong */
  readonly run: (world: World, signal: AbortSignal) => Promise<readonly string[]>
}

export interface StepResult {
  readonly name: string
  readonly shows: string
  readonly ok: boolean
  readonly ms: Millis
  /** What was measured; of a step that failed, why. */
  readonly facts: readonly string[]
}

/**
 * Run the steps in order, each for at most `within`, or what it says itself. One that fails does not keep the later ones from running; after an abort
 * of `stop` they fail at once. @param onResult called after each
 */
export async function runSteps(
  steps: readonly Step[],
  world: World,
  { within, stop, onResult }: { within: Millis; stop: AbortSignal; onResult: (result: StepResult) => void },
): Promise<readonly StepResult[]> {
  const results: StepResult[] = []
  for (const step of steps) {
    const result = await runStep(step, world, AbortSignal.any([stop, AbortSignal.timeout(step.within ?? within)]))
    results.push(result)
    onResult(result)
  }
  return results
}

async function runStep({ name, shows, run }: Step, world: World, signal: AbortSignal): Promise<StepResult> {
  const begun = performance.now()
  const end = (ok: boolean, facts: readonly string[]): StepResult => {
    return { name, shows, ok, ms: Math.round(performance.now() - begun), facts }
  }
  try {
    signal.throwIfAborted()
    return end(true, await run(world, signal))
  } catch (thrown) {
    return end(false, [describe(thrown)])
  }
}

/** The message with those of its causes: whoever runs the demo is the operator too. */
function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  if (thrown.cause === undefined) return thrown.message
  const cause = describe(thrown.cause)
  // A gRPC error says once more what we made of it.
  return cause.includes(thrown.message) ? cause : `${thrown.message}: ${cause}`
}
