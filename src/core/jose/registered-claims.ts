import { IdentityError } from "../errors.ts"
import type { Json } from "../json.ts"
import type { Instant, Seconds } from "../time.ts"
import { isAudience, MAX_AUDIENCES } from "./audience.ts"

/**
 * Read a NumericDate: a finite number from 0 to the end of the year 9999. A fraction is cut off, which only ever makes a
 * token expire earlier. @throws IdentityError `malformed` @see JOS-09
 */
export function parseNumericDate(value: Json | undefined, name: string): Instant {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0 || value > END_OF_9999) {
    throw new IdentityError("malformed", `claim ${name} is not a date in seconds`)
  }
  return Math.floor(value)
}

/** {@link parseNumericDate} of a claim that may be absent. */
export function parseOptionalNumericDate(value: Json | undefined, name: string): Instant | undefined {
  return value === undefined ? undefined : parseNumericDate(value, name)
}

/**
 * `nbf` of what we issue: a little before `iat`, for verifiers whose clocks are late and which tolerate nothing. Never so early that a
 * token of a day would look longer to whoever measures from there. @see JW-10 AT-02 KAS-02
 */
export function notBeforeOf({ iat, exp }: { readonly iat: Instant; readonly exp: Instant }): Instant {
  return Math.min(iat, Math.max(iat - BACKDATE, exp - LONGEST_LIFE))
}

/**
 * Read `aud`: one text, or a list of 1 to 16 of them, each of 1 to 1024 bytes.
 * @throws IdentityError `malformed` @see JOS-10 JW-16
 */
export function parseAudience(value: Json | undefined): readonly string[] {
  const list = typeof value === "string" ? [value] : value
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_AUDIENCES) {
    throw new IdentityError("malformed", "claim aud is not a text or a list of 1 to 16")
  }
  return list.map(parseAudienceEntry)
}

function parseAudienceEntry(value: Json): string {
  if (typeof value !== "string" || !isAudience(value)) {
    throw new IdentityError("malformed", "claim aud has an entry that is not a text of 1 to 1024 bytes")
  }
  return value
}

const BACKDATE: Seconds = 10
const LONGEST_LIFE: Seconds = 86_400
const END_OF_9999 = 253_402_300_799
