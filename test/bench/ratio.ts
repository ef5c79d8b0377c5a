import { median } from "./rounds.ts"

/** A figure beside the aim of the design. */
export interface Ratio {
  readonly name: string
  readonly value: number
  readonly aim: number
  readonly met: boolean
  /** Which side of the aim is the good one, and what the value is of. */
  readonly side: "at least" | "at most"
  readonly unit: string
  /** Of rounds, of which `value` is the median. */
  readonly low?: number
  readonly high?: number
}

export function ratio(name: string, value: number, side: Ratio["side"], aim: number, unit: string): Ratio {
  const rounded = round(value)
  return { name, value: rounded, aim, met: side === "at least" ? rounded >= aim : rounded <= aim, side, unit }
}

/** @param values one of each round */
export function ratioOfRounds(
  name: string,
  values: readonly number[],
  side: Ratio["side"],
  aim: number,
  unit: string,
): Ratio {
  const middle = ratio(name, median(values), side, aim, unit)
  return values.length === 1 ? middle : { ...middle, low: round(Math.min(...values)), high: round(Math.max(...values)) }
}

export function describeRatio({ name, value, aim, met, side, unit, low, high }: Ratio): string {
  const range = low === undefined ? "" : ` (${low} to ${high})`
  return `${met ? "met   " : "MISSED"} ${name.padEnd(18)} ${value}${range} ${unit} (aim: ${side} ${aim})`
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
