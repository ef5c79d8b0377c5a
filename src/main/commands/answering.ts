import { UnansweredError } from "../command-failure.ts"

/**
 * The action of a command whose exit code is an answer, which `ask` resolves to: what goes wrong on the way must not look like one.
 * @see CLI-10
 */
export function answering<Arguments extends readonly unknown[]>(
  ask: (...given: Arguments) => Promise<number>,
): (...given: Arguments) => Promise<void> {
  return async (...given) => {
    try {
      process.exitCode = await ask(...given)
    } catch (thrown) {
      throw new UnansweredError(thrown)
    }
  }
}
