import { IdentityError } from "./errors.ts"

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = { readonly [key: string]: Json }

/**
 * Parse JSON strictly: duplicate member names are refused, and so is nesting deeper than 32. `__proto__` is an ordinary
 * member. @throws IdentityError `malformed` @see TD-06 JOS-07
 */
export function parseJson(text: string): Json {
  let value: Json
  try {
    value = JSON.parse(text) as Json // a JSON text parses to nothing else
  } catch (cause) {
    throw new IdentityError("malformed", "not valid JSON", { cause })
  }
  refuseDuplicates(text)
  return value
}

/** {@link parseJson} of a text that must be an object. @throws IdentityError `malformed` */
export function parseJsonObject(text: string): JsonObject {
  const value = parseJson(text)
  if (!isJsonObject(value)) throw new IdentityError("malformed", "not a JSON object")
  return value
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** Walk a text that is already known to be valid JSON, and refuse a member name that its object has twice. */
function refuseDuplicates(text: string): void {
  const objects: (Set<string> | undefined)[] = []
  let i = 0
  while (i < text.length) {
    const char = text[i]
    if (char === '"') {
      const end = endOfString(text, i)
      const names = objects.at(-1)
      if (names !== undefined && isMemberName(text, end)) addName(names, text.slice(i, end))
      i = end
      continue
    }
    if (char === "{" || char === "[") {
      if (objects.length === MAX_DEPTH) throw new IdentityError("malformed", "JSON is nested too deeply")
      objects.push(char === "{" ? new Set() : undefined)
    }
    if (char === "}" || char === "]") objects.pop()
    i++
  }
}

function addName(names: Set<string>, literal: string): void {
  const name: unknown = JSON.parse(literal)
  if (typeof name !== "string") return
  if (names.has(name)) throw new IdentityError("malformed", "JSON object has a member twice")
  names.add(name)
}

function endOfString(text: string, start: number): number {
  let i = start + 1
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1
  return i + 1
}

function isMemberName(text: string, end: number): boolean {
  let i = end
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++
  return text[i] === ":"
}

const MAX_DEPTH = 32
