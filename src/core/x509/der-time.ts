import type { Instant } from "../time.ts"
import { TAG } from "./der.ts"
import type { DerReader } from "./der-reader.ts"
import { DerWriter } from "./der-writer.ts"
import { malformed } from "./refusal.ts"

/** UTCTime until 2049, GeneralizedTime from 2050. @throws RangeError outside 1950 to 9999 @see DER-10 */
export function encodeTime(at: Instant): Uint8Array {
  const der = new DerWriter(GENERALIZED_OCTETS)
  putTime(der, at)
  return der.finish()
}

/** {@link encodeTime} before what was written so far. */
export function putTime(der: DerWriter, at: Instant): void {
  if (!Number.isInteger(at) || at < YEAR_1950 || at > YEAR_9999) throw new RangeError("time outside 1950 to 9999")
  const date = new Date(at * 1000)
  const year = date.getUTCFullYear()
  const isGeneral = at >= YEAR_2050
  const end = der.end
  der.putOctet(Z)
  putPair(der, date.getUTCSeconds())
  putPair(der, date.getUTCMinutes())
  putPair(der, date.getUTCHours())
  putPair(der, date.getUTCDate())
  putPair(der, date.getUTCMonth() + 1)
  putPair(der, year % 100)
  if (isGeneral) putPair(der, Math.floor(year / 100))
  der.wrap(isGeneral ? TAG.generalizedTime : TAG.utcTime, end)
}

function putPair(der: DerWriter, value: number): void {
  der.putOctet(ZERO + (value % 10))
  der.putOctet(ZERO + Math.floor(value / 10))
}

/** Read a Time in the one form that DER allows for its year. @throws IdentityError `malformed` @see DER-10 */
export function readTime(reader: DerReader): Instant {
  const general = reader.tag === TAG.generalizedTime
  const content = reader.content(general ? TAG.generalizedTime : TAG.utcTime)
  if (content.length !== (general ? GENERALIZED_OCTETS : UTC_OCTETS) - HEADER || content[content.length - 1] !== Z) {
    throw malformed("der-time", "DER time is not YYMMDDHHMMSSZ or longer")
  }
  const rest = general ? 4 : 2
  const at = instantOf(content, rest, general ? pairOf(content, 0) * 100 + pairOf(content, 2) : shortYear(content))
  if (general === at < YEAR_2050) throw malformed("der-time", "DER time is in the form of another year")
  return at
}

function shortYear(content: Uint8Array): number {
  const year = pairOf(content, 0)
  return year < 50 ? 2000 + year : 1900 + year
}

/** @param at where the month begins */
function instantOf(content: Uint8Array, at: number, year: number): Instant {
  const month = pairOf(content, at)
  const day = pairOf(content, at + 2)
  const hour = pairOf(content, at + 4)
  const minute = pairOf(content, at + 6)
  const second = pairOf(content, at + 8)
  const exists = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(month, year)
  if (!exists || hour > 23 || minute > 59 || second > 59) throw malformed("der-time", "DER time does not exist")
  // Years before 100 would be taken for 1900 to 1999; both are refused, as of another form.
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000
}

function daysIn(month: number, year: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/** Two digits. @throws IdentityError `malformed` */
function pairOf(content: Uint8Array, at: number): number {
  const tens = (content[at] ?? 0) - ZERO
  const ones = (content[at + 1] ?? 0) - ZERO
  if (tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9) return tens * 10 + ones
  throw malformed("der-time", "DER time is not YYMMDDHHMMSSZ or longer")
}

/** Of the whole element. */
const UTC_OCTETS = 15
const GENERALIZED_OCTETS = 17
const HEADER = 2
const ZERO = 0x30
const Z = 0x5a
const YEAR_1950 = -631152000
const YEAR_2050 = 2524608000
const YEAR_9999 = 253402300799
