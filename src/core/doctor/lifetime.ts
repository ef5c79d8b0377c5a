import type { Instant, Seconds } from "../time.ts"
import { critical, type Finding, ok, warning } from "./check.ts"
import type { Lifetime } from "./facts.ts"

/** How much of a certificate's life is left: under a fifth is a warning, under a twentieth critical. */
export function judgeLifetime(what: string, { notBefore, notAfter }: Lifetime, now: Instant, next: string): Finding {
  const left = notAfter - now
  if (left <= 0) return critical(`${what} has expired`, next)
  if (now < notBefore) return critical(`${what} is not valid yet: is the clock right?`, "set the clock of this machine")
  const share = left / (notAfter - notBefore)
  const text = `${what} is good for another ${daysText(left)}`
  if (share < 0.05) return critical(text, next)
  return share < 0.2 ? warning(text, next) : ok(text)
}

export function daysText(seconds: Seconds): string {
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  return seconds < 2 * 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}
