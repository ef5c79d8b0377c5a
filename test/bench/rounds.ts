/** How long a figure is measured, and run without being measured before that. */
export interface Span {
  readonly round: number
  readonly seconds: number
  readonly warmUp: number
}

/** Of the rounds in which one figure is measured, of which there is one at least. */
export type Spans = readonly [Span, ...Span[]]

export function spansOf(seconds: number, rounds: number): Spans {
  const spanOf = (round: number): Span => ({ round, seconds, warmUp: warmUpOf(seconds, round) })
  return [spanOf(0), ...Array.from({ length: rounds - 1 }, (_, before) => spanOf(before + 1))]
}

/**
 * Measures everything once in each round, one after the other, so that a machine whose speed wanders is as fast for one as for the
 * other. The results of each, round by round.
 */
export async function inRounds<Name extends string, Result>(
  spans: Spans,
  tasks: Readonly<Record<Name, (span: Span) => Promise<Result>>>,
): Promise<Readonly<Record<Name, readonly Result[]>>> {
  const names = Object.keys(tasks) as Name[] // the keys of a literal
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>
  for (const span of spans) for (const name of names) results[name].push(await tasks[name](span))
  return results
}

/** What one came to beside the other in each round. */
export function beside(values: readonly number[], others: readonly number[]): readonly number[] {
  return values.map((value, round) => value / (others[round] ?? Number.NaN))
}

/** The middle one of an odd number of values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** For code that is not compiled in the fraction of a second that a short run has. */
export function warmedUp(span: Span): Span {
  return { ...span, warmUp: Math.max(span.warmUp, 0.6) }
}

/**
 * The first time as long as is measured, at least, since a server lives longer than the few seconds in which its code is compiled, which
 * would take a tenth of the time here. A run that is to end soon has no time for that.
 */
function warmUpOf(seconds: number, round: number): number {
  if (seconds < 1) return seconds / 4
  return round === 0 ? 2 * seconds : seconds / 5
}
