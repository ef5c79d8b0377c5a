import { z } from "zod"
import { agentSchema } from "./agent-schema.ts"
import { member } from "./known-keys.ts"
import { serverSchema } from "./server-schema.ts"

export type ConfigKind = "server" | "agent"

/** The JSON Schema (2020-12) of what may be written in a configuration file. @see CFG-08 */
export function configJsonSchema(kind: ConfigKind): object {
  const schema = z.toJSONSchema(kind === "server" ? serverSchema : agentSchema, { io: "input" })
  return { $id: `urn:assay:config:${kind}`, title: `assay ${kind}`, ...schema }
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
