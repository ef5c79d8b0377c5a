/** A system whose every state can be visited. */
export interface System<State> {
  readonly first: State
  /** Equal for states that cannot be told apart. */
  key(state: State): string
  /** Everything that can happen next. */
  next(state: State): Iterable<Step<State>>
  /** What is wrong with it, or with the way into it; `undefined` for nothing. */
  fault(state: State): string | undefined
}

export interface Step<State> {
  readonly name: string
  readonly state: State
}

export interface Exploration<State> {
  readonly states: number
  /** How many steps the farthest state is away. */
  readonly depth: number
  /** The shortest way to the first fault that was found. */
  readonly fault: { readonly what: string; readonly trace: readonly string[]; readonly state: State } | undefined
}

/** Visit every reachable state, nearest first, until one has a fault. @throws RangeError beyond `limit` states */
export function explore<State>(
  system: System<State>,
  limit: number,
  visit: (state: State) => void = () => undefined,
): Exploration<State> {
  const seen = new Set<string>([system.key(system.first)])
  const queue: Node<State>[] = [{ state: system.first, name: "", parent: undefined, depth: 0 }]
  for (let at = 0; at < queue.length; at++) {
    const node = queue[at] as Node<State> // at is below the length
    visit(node.state)
    const what = system.fault(node.state)
    if (what !== undefined) {
      return { states: seen.size, depth: node.depth, fault: { what, trace: traceOf(node), state: node.state } }
    }
    for (const { name, state } of system.next(node.state)) {
      const key = system.key(state)
      if (seen.has(key)) continue
      seen.add(key)
      if (seen.size > limit) throw new RangeError(`more than ${limit} states`)
      queue.push({ state, name, parent: node, depth: node.depth + 1 })
    }
  }
  return { states: seen.size, depth: queue.at(-1)?.depth ?? 0, fault: undefined }
}

interface Node<State> {
  readonly state: State
  readonly name: string
  readonly parent: Node<State> | undefined
  readonly depth: number
}

function traceOf<State>(node: Node<State>): readonly string[] {
  return node.parent === undefined ? [] : [...traceOf(node.parent), node.name]
}
