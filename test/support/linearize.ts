/** One operation as its client saw it. Times are of one clock that all clients share, and no two are equal. */
export interface Call<Input, Output> {
  readonly client: string
  readonly begun: number
  /** `Infinity`: nobody knows how it ended. It may have taken effect at any time after it began, or never. */
  readonly ended: number
  readonly input: Input
  /** `undefined`: nobody knows. */
  readonly output: Output | undefined
}

/** What an object does when its operations come one after the other. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State
  /** The state after `input`, or `undefined` when it cannot have given `output`. For an unknown output: the state if it took effect. */
  readonly next: (state: State, input: Input, output: Output | undefined) => State | undefined
  /** Equal for equal states, and for no others. */
  readonly keyOf: (state: State) => string
}

export type Verdict<Input, Output> =
  | { readonly kind: "linearizable"; readonly order: readonly Call<Input, Output>[] }
  /** `order` is the longest that was found; each of `stuck` was to come next, and none of them could. */
  | {
      readonly kind: "not-linearizable"
      readonly order: readonly Call<Input, Output>[]
      readonly stuck: readonly Call<Input, Output>[]
    }

/**
 * Whether there is one order of all calls in which each lies between its begin and its end and gives what it gave: the search of
 * Wing and Gong over all orders, in which no pair of "which calls are done" and "in which state" is looked at twice (Lowe).
 * @throws RangeError when it takes more than a million steps
 */
export function linearize<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
): Verdict<Input, Output> {
  const certain = calls.reduce((mask, call, i) => (call.ended === Number.POSITIVE_INFINITY ? mask : mask | bit(i)), 0n)
  const seen = new Set<string>()
  const open: Node<State>[] = [{ done: 0n, state: model.initial, length: 0, last: undefined, before: undefined }]
  let longest: Node<State> | undefined
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (seen.size >= MAX_STEPS) throw new RangeError("history is too long to be judged")
    if (longest === undefined || node.length > longest.length) longest = node
    if ((node.done & certain) === certain) return { kind: "linearizable", order: orderOf(node, calls) }
    for (const index of candidates(calls, node.done)) {
      const after = step(node, index, calls, model)
      if (after === undefined) continue
      const name = `${after.done} ${model.keyOf(after.state)}`
      if (seen.has(name)) continue
      seen.add(name)
      open.push(after)
    }
  }
  const stuck = longest === undefined ? [] : candidates(calls, longest.done).flatMap((i) => calls[i] ?? [])
  return { kind: "not-linearizable", order: orderOf(longest, calls), stuck }
}

/** A prefix of an order. */
interface Node<State> {
  /** A bit for each call that is in it. */
  readonly done: bigint
  readonly state: State
  readonly length: number
  readonly last: number | undefined
  readonly before: Node<State> | undefined
}

function step<State, Input, Output>(
  node: Node<State>,
  index: number,
  calls: readonly Call<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
): Node<State> | undefined {
  const call = calls[index]
  if (call === undefined) throw new RangeError("no such call")
  const state = model.next(node.state, call.input, call.output)
  if (state === undefined) return undefined
  return { done: node.done | bit(index), state, length: node.length + 1, last: index, before: node }
}

/** The calls that may come next: none that is left had ended before they began. */
function candidates<Input, Output>(calls: readonly Call<Input, Output>[], done: bigint): readonly number[] {
  const left = calls.flatMap((_, index) => ((done & bit(index)) === 0n ? [index] : []))
  const first = left.reduce((least, index) => Math.min(least, calls[index]?.ended ?? least), Number.POSITIVE_INFINITY)
  return left.filter((index) => (calls[index]?.begun ?? first) < first)
}

function orderOf<State, Input, Output>(
  node: Node<State> | undefined,
  calls: readonly Call<Input, Output>[],
): readonly Call<Input, Output>[] {
  const order: Call<Input, Output>[] = []
  for (let at = node; at?.last !== undefined; at = at.before) {
    const call = calls[at.last]
    if (call !== undefined) order.unshift(call)
  }
  return order
}

function bit(index: number): bigint {
  return 1n << BigInt(index)
}

const MAX_STEPS = 1_000_000
