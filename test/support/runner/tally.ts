/** What a run counts: tests and checks alike. */
export class Tally {
  #passed = 0
  #failed = 0
  readonly #failures: string[] = []

  pass(count = 1): void {
    this.#passed += count
  }

  fail(what: string): void {
    this.#failed += 1
    if (this.#failures.length < LISTED_FAILURES) this.#failures.push(what)
  }

  get failed(): number {
    return this.#failed
  }

  /** Names of what failed, at most {@link LISTED_FAILURES}. */
  get failures(): readonly string[] {
    return this.#failures
  }

  /** The last line of a run. */
  summary(): string {
    return `${this.#passed} passed, ${this.#failed} failed`
  }
}

const LISTED_FAILURES = 200
