import type { Instant } from "../time.ts"
import { TAG } from "./der.ts"
import type { DerReader } from "./der-reader.ts"
import { malformed } from "./refusal.ts"

/** UTCTime until 2049, GeneralizedTime from 2050. @throws RangeError outside 1950 to 9999 @see DER-10 */
export function encodeTime(at: Instant): Uint8Array {
  if (!Number.isInteger(at) || at < YEAR_1950 || at > YEAR_9999) throw new RangeError("time outside 1950 to 9999")
  const date = new Date(at * 1000)
  const year = date.getUTCFullYear()
  const isGeneral = at >= YEAR_2050
  const out = new Uint8Array(isGeneral ? GENERALIZED_OCTETS : UTC_OCTETS)
  out[0] = isGeneral ? TAG.generalizedTime : TAG.utcTime
  out[1] = out.length - 2
  let end = out.length - 1
  out[end] = 0x5a
  const put = (value: number): void => {
    out[--end] = 0x30 + (value % 10)
    out[--end] = 0x30 + Math.floor(value / 10)
  }
  put(date.getUTCSeconds())
  put(date.getUTCMinutes())
  put(date.getUTCHours())
  put(date.getUTCDate())
  put(date.getUTCMonth() + 1)
  put(year % 100)
  if (isGeneral) put(Math.floor(year / 100))
  return out
}

/** Read a Time in the one form that DER allows for its year. @throws IdentityError `malformed` @see DER-10 */
export function readTime(reader: DerReader): Instant {
  const general = reader.tag === TAG.generalizedTime
  const content = reader.content(general ? TAG.generalizedTime : TAG.utcTime)
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString("latin1")
  if (!(general ? GENERALIZED : UTC).test(text)) throw malformed("der-time", "DER time is not YYMMDDHHMMSSZ or longer")
  const full = general ? text : (Number(text.slice(0, 2)) < 50 ? "20" : "19") + text
  const at = instantOf(full)
  if (general === at < YEAR_2050) throw malformed("der-time", "DER time is in the form of another year")
  return at
}

function instantOf(text: string): Instant {
  const part = (from: number, to: number): number => Number(text.slice(from, to))
  const [month, day] = [part(4, 6), part(6, 8)]
  const date = new Date(0)
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(part(0, 4), month - 1, day)
  const [hour, minute, second] = [part(8, 10), part(10, 12), part(12, 14)]
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (!exists || hour > 23 || minute > 59 || second > 59) throw malformed("der-time", "DER time does not exist")
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second
}

/** Of the whole element. */
const UTC_OCTETS = 15
const GENERALIZED_OCTETS = 17
const UTC = /^\d{12}Z$/
const GENERALIZED = /^\d{14}Z$/
const YEAR_1950 = -631152000
const YEAR_2050 = 2524608000
const YEAR_9999 = 253402300799
