import { readFile } from "node:fs/promises"
import type { z } from "zod"
import { agentSchema } from "./agent-schema.ts"
import { type CamelKeys, camelKeys } from "./camel-keys.ts"
import { readDocument } from "./read-document.ts"

/** Checked and frozen configuration of `assay agent`. */
export type AgentConfig = CamelKeys<z.output<typeof agentSchema>>

/** @param file names the text in problems @throws ConfigError */
export function parseAgentConfig(text: string, file: string): AgentConfig {
  return camelKeys(readDocument(agentSchema, text, file).value)
}

/** @throws ConfigError; Node's own error when the file cannot be read */
export async function loadAgentConfig(file: string): Promise<AgentConfig> {
  return parseAgentConfig(await readFile(file, "utf8"), file)
}
