import { IdentityError } from "../../core/errors.ts"

/** Puts what is asked while an answer is on its way into one question: a crowd waits for two answers, not for one another. */
export class QuestionBatch<Question, Answer> {
  readonly #ask: (questions: readonly Question[]) => Promise<readonly Answer[]>
  readonly #waiting: Waiting<Question, Answer>[] = []
  #asking = false

  /** @param ask gives an answer for each of at most 256 questions, in order */
  constructor(ask: (questions: readonly Question[]) => Promise<readonly Answer[]>) {
    this.#ask = ask
  }

  /** @throws IdentityError `rate-limited` when 8192 wait; what `ask` throws */
  async put(question: Question): Promise<Answer> {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new IdentityError("rate-limited", "too many searches are waiting", { retryAfter: 1 })
    }
    const settled = Promise.withResolvers<Answer>()
    this.#waiting.push({ question, settled })
    if (!this.#asking) void this.#run()
    return await settled.promise
  }

  async #run(): Promise<void> {
    this.#asking = true
    while (this.#waiting.length > 0) await this.#answer(this.#waiting.splice(0, MAX_AT_ONCE))
    this.#asking = false
  }

  /** Never rejects. */
  async #answer(asked: readonly Waiting<Question, Answer>[]): Promise<void> {
    try {
      const answers = await this.#ask(asked.map(({ question }) => question))
      if (answers.length !== asked.length) throw new TypeError("not as many answers as questions")
      for (const [i, answer] of answers.entries()) asked[i]?.settled.resolve(answer)
    } catch (thrown) {
      for (const { settled } of asked) settled.reject(thrown)
    }
  }
}

interface Waiting<Question, Answer> {
  readonly question: Question
  readonly settled: PromiseWithResolvers<Answer>
}

const MAX_WAITING = 8192
const MAX_AT_ONCE = 256
