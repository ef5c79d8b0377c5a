/** A figure beside the aim of the design. */
export interface Ratio {
  readonly name: string
  readonly value: number
  readonly aim: number
  readonly met: boolean
  /** Which side of the aim is the good one, and what the value is of. */
  readonly side: "at least" | "at most"
  readonly unit: string
}

export function ratio(name: string, value: number, side: Ratio["side"], aim: number, unit: string): Ratio {
  const rounded = Math.round(value * 1000) / 1000
  return { name, value: rounded, aim, met: side === "at least" ? rounded >= aim : rounded <= aim, side, unit }
}

export function describeRatio({ name, value, aim, met, side, unit }: Ratio): string {
  return `${met ? "met   " : "MISSED"} ${name.padEnd(18)} ${value} ${unit} (aim: ${side} ${aim})`
}
