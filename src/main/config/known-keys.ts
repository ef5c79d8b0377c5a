import { z } from "zod"
import type { ConfigPath } from "./yaml-source.ts"

/** The names that a mapping at `path` of what `schema` reads may have; empty when it is no mapping. */
export function knownKeys(schema: z.ZodType, path: ConfigPath): readonly string[] {
  let node: unknown = z.toJSONSchema(schema, { io: "input" })
  for (const part of path)
    node = typeof part === "number" ? member(node, "items") : member(member(node, "properties"), part)
  const properties = member(node, "properties")
  return typeof properties === "object" && properties !== null ? Object.keys(properties) : []
}

/** `value[name]` of a JSON document. */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}
