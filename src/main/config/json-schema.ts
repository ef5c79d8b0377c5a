import { z } from "zod"
import { agentSchema } from "./agent-schema.ts"
import { serverSchema } from "./server-schema.ts"
import type { ConfigPath } from "./yaml-source.ts"

export type ConfigKind = "server" | "agent"

/** The JSON Schema (2020-12) of what may be written in a configuration file. @see CFG-08 */
export function configJsonSchema(kind: ConfigKind): object {
  const schema = z.toJSONSchema(kind === "server" ? serverSchema : agentSchema, { io: "input" })
  return { $id: `urn:assay:config:${kind}`, title: `assay ${kind}`, ...schema }
}

/** The names that a mapping at `path` may have; empty when it is no mapping. */
export function knownKeys(schema: object, path: ConfigPath): readonly string[] {
  let node: unknown = schema
  for (const part of path)
    node = typeof part === "number" ? member(node, "items") : member(member(node, "properties"), part)
  const properties = member(node, "properties")
  return typeof properties === "object" && properties !== null ? Object.keys(properties) : []
}

/** Every key that can be set, e.g. `clusters[].keys.jwks_url`, with its description. */
export function* allKeys(
  schema: unknown,
  prefix = "",
): Generator<{ readonly key: string; readonly description: string }> {
  const items = member(schema, "items")
  if (items !== undefined) yield* allKeys(items, `${prefix}[]`)
  for (const [name, child] of Object.entries(member(schema, "properties") ?? {})) {
    const key = prefix === "" ? name : `${prefix}.${name}`
    const description = member(child, "description")
    yield { key, description: typeof description === "string" ? description : "" }
    yield* allKeys(child, key)
  }
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}
