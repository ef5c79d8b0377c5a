import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"

/** Members of what the store keeps as JSON. All throw TypeError when it holds something else. */
export function textIn(object: JsonObject, name: string): string {
  const value = object[name]
  if (typeof value !== "string") throw unreadable(name)
  return value
}

export function integerIn(object: JsonObject, name: string): number {
  const value = object[name]
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw unreadable(name)
  return value
}

export function oneOf<T extends string>(object: JsonObject, name: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === object[name])
  if (found === undefined) throw unreadable(name)
  return found
}

export function objectsIn(object: JsonObject, name: string): readonly JsonObject[] {
  const value = object[name]
  if (!Array.isArray(value)) throw unreadable(name)
  return value.map((item: Json) => objectOf(item, name))
}

export function objectOf(value: Json | undefined, name: string): JsonObject {
  if (!isJsonObject(value)) throw unreadable(name)
  return value
}

function unreadable(name: string): TypeError {
  return new TypeError(`store: record has no readable "${name}"`)
}

export function booleanIn(object: JsonObject, name: string): boolean {
  const value = object[name]
  if (typeof value !== "boolean") throw unreadable(name)
  return value
}

export function textsIn(object: JsonObject, name: string): readonly string[] {
  const value = object[name]
  if (!Array.isArray(value)) throw unreadable(name)
  return value.map((item: Json) => {
    if (typeof item !== "string") throw unreadable(name)
    return item
  })
}
