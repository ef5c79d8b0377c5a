import { IdentityError } from "../errors.ts"

/** The parameters of a request, in the order of their first appearance. A parameter without a value is not there. @see CC-02 */
export interface Form {
  /** The value of a parameter that may be given once. */
  one(name: string): string | undefined
  /** The values of a parameter that may be given several times. */
  all(name: string): readonly string[]
  /** Every name that has a value. */
  readonly names: readonly string[]
}

/**
 * Read the text of an `application/x-www-form-urlencoded` body: at most 32 different parameters, 64 in all. A parameter that
 * comes twice is refused unless it is in `repeatable`; names are not looked at otherwise.
 * @throws IdentityError `malformed`, reason `parameter-repeated`, `form-malformed` or `form-too-large` @see CC-01 CC-02
 */
export function parseForm(body: string, repeatable: ReadonlySet<string>): Form {
  const values = new Map<string, string[]>()
  const fields = body === "" ? [] : body.split("&")
  if (fields.length > MAX_FIELDS) throw refused("form-too-large", "the request has too many parameters")
  let isFull = true
  for (const field of fields) {
    const split = field.indexOf("=")
    const name = decode(split === -1 ? field : field.slice(0, split))
    const value = split === -1 ? "" : decode(field.slice(split + 1))
    if (value === "") isFull = false
    const known = values.get(name)
    if (known === undefined) values.set(name, [value])
    else if (repeatable.has(name)) known.push(value)
    else throw refused("parameter-repeated", "a parameter is in the request more than once")
  }
  if (!isFull) dropEmpty(values)
  if (values.size > MAX_NAMES) throw refused("form-too-large", "the request has too many parameters")
  return { one: (name) => values.get(name)?.[0], all: (name) => values.get(name) ?? [], names: [...values.keys()] }
}

function dropEmpty(values: Map<string, string[]>): void {
  for (const [name, list] of values) {
    const given = list.filter((value) => value !== "")
    if (given.length === 0) values.delete(name)
    else values.set(name, given)
  }
}

/** Strict: what is not percent-encoded UTF-8 is refused, not replaced. Names and tokens mostly are written as themselves. */
function decode(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text
  if (!spaced.includes("%")) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch (cause) {
    throw new IdentityError("malformed", "the body is not percent-encoded UTF-8", { reason: "form-malformed", cause })
  }
}

function refused(reason: "parameter-repeated" | "form-too-large", message: string): IdentityError {
  return new IdentityError("malformed", message, { reason })
}

const MAX_FIELDS = 64
const MAX_NAMES = 32
