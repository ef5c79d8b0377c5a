import type { z } from "zod"
import { agentSchema } from "./agent-schema.ts"
import { type CamelKeys, camelKeys } from "./camel-keys.ts"
import { readConfigFile } from "./read-config-file.ts"
import { readDocument } from "./read-document.ts"

/** Checked and frozen configuration of `assay agent`. */
export type AgentConfig = CamelKeys<z.output<typeof agentSchema>>

/** @param file names the text in problems @throws ConfigError */
export function parseAgentConfig(text: string, file: string): AgentConfig {
  return camelKeys(readDocument(agentSchema, text, file).value)
}

/** @throws ConfigError; IdentityError `not-ready` when the file cannot be read */
export async function loadAgentConfig(file: string): Promise<AgentConfig> {
  return parseAgentConfig(await readConfigFile(file), file)
}
