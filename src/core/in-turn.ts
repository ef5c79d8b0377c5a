/** Runs what it is given one after the other, in the order of the calls. A failure is its caller's alone. Callers bound how many wait. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

export function makeInTurn(): InTurn {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }
}
