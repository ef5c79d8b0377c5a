import { z } from "zod"
import type { Seconds } from "../../core/time.ts"

/** A length of time with its unit, e.g. `90s`, `5m`, `1h`, `365d`. Output: {@link Seconds}. */
export function duration(bounds: { readonly min: string; readonly max: string }) {
  const [min, max] = [parseDuration(bounds.min), parseDuration(bounds.max)]
  return z
    .string({ error: expected('a duration such as "10s", "5m", "1h" or "365d"') })
    .regex(DURATION, 'must be a duration such as "10s", "5m", "1h" or "365d"')
    .transform(parseDuration)
    .refine((value) => value >= min && value <= max, `must be from ${bounds.min} to ${bounds.max}`)
}

/** A number of bytes with its unit, e.g. `512B`, `8KiB`, `4MiB`. */
export function size(bounds: { readonly min: string; readonly max: string }) {
  const [min, max] = [parseSize(bounds.min), parseSize(bounds.max)]
  return z
    .string({ error: expected('a size such as "512B", "8KiB" or "4MiB"') })
    .regex(SIZE, 'must be a size such as "512B", "8KiB" or "4MiB"')
    .transform(parseSize)
    .refine((value) => value >= min && value <= max, `must be from ${bounds.min} to ${bounds.max}`)
}

/** A share, e.g. `10%`. Output: a fraction from 0 to 1. */
export function percent(bounds: { readonly min: number; readonly max: number }) {
  return z
    .string({ error: expected('a percentage such as "10%"') })
    .regex(/^\d{1,3}%$/, 'must be a percentage such as "10%"')
    .transform((text) => Number(text.slice(0, -1)) / 100)
    .refine(
      (value) => value * 100 >= bounds.min && value * 100 <= bounds.max,
      `must be from ${bounds.min}% to ${bounds.max}%`,
    )
}

/** Events per second, e.g. `50/s`. */
export function rate(bounds: { readonly min: number; readonly max: number }) {
  return z
    .string({ error: expected('a rate such as "50/s"') })
    .regex(/^\d{1,7}\/s$/, 'must be a rate such as "50/s"')
    .transform((text) => Number(text.slice(0, -2)))
    .refine((value) => value >= bounds.min && value <= bounds.max, `must be from ${bounds.min}/s to ${bounds.max}/s`)
}

/** A whole number. */
export function count(bounds: { readonly min: number; readonly max: number }) {
  return z.int().min(bounds.min).max(bounds.max)
}

/** @throws RangeError for a text that {@link DURATION} does not match */
export function parseDuration(text: string): Seconds {
  const [, digits, unit] = DURATION.exec(text) ?? []
  return Number(digits) * factor(SECONDS, unit)
}

/** @throws RangeError for a text that {@link SIZE} does not match */
export function parseSize(text: string): number {
  const [, digits, unit] = SIZE.exec(text) ?? []
  return Number(digits) * factor(BYTES, unit)
}

function factor(units: ReadonlyMap<string, number>, unit: string | undefined): number {
  const value = unit === undefined ? undefined : units.get(unit)
  if (value === undefined) throw new RangeError("no such unit")
  return value
}

function expected(what: string) {
  return (issue: { readonly input?: unknown }) =>
    issue.input === undefined ? "is required" : `must be ${what}, as text`
}

const DURATION = /^(\d{1,9})(s|m|h|d)$/
const SIZE = /^(\d{1,9})(B|KiB|MiB)$/
const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
])
const BYTES: ReadonlyMap<string, number> = new Map([
  ["B", 1],
  ["KiB", 1024],
  ["MiB", 1024 * 1024],
])
