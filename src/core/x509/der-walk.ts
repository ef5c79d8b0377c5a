import { DerReader } from "./der-reader.ts"
import { malformed } from "./refusal.ts"

/**
 * Walk bytes whose meaning does not matter and refuse what is not DER, is nested deeper than 16, or has more than 1024
 * elements. @throws IdentityError `malformed` @see DER-08
 */
export function walkDer(bytes: Uint8Array): void {
  const budget = { elements: MAX_ELEMENTS }
  walk(new DerReader(bytes), 0, budget)
}

function walk(reader: DerReader, depth: number, budget: { elements: number }): void {
  if (depth > MAX_DEPTH) throw malformed("der-depth", "DER is nested too deeply")
  while (!reader.done) {
    if (--budget.elements < 0) throw malformed("der-size", "DER has too many elements")
    const constructed = (reader.tag & CONSTRUCTED) !== 0
    if (constructed) walk(reader.enter(reader.tag), depth + 1, budget)
    else reader.skip()
  }
}

const CONSTRUCTED = 0x20
const MAX_DEPTH = 16
const MAX_ELEMENTS = 1024
