import type { Instant } from "../../core/time.ts"

/** When something ends, and how far off that is: `2026-11-25T10:00:00Z (in 3h)`. */
export function lifeLeft(end: Instant, now: Instant): string {
  const iso = new Date(end * 1000).toISOString().replace(".000", "")
  const left = end - now
  return `${iso} (${left < 0 ? `${spanText(-left)} ago` : `in ${spanText(left)}`})`
}

/** A length of time in its largest unit that is there twice or more, rounded down: `90s`, `5m`, `36h`, `3d`. */
export function spanText(seconds: number): string {
  const [unit, size] = UNITS.find(([, one]) => seconds >= 2 * one) ?? ["s", 1]
  return `${Math.floor(seconds / size)}${unit}`
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
]
