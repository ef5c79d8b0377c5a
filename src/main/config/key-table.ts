import { allKeys, type ConfigKind, configJsonSchema } from "./json-schema.ts"

/** The Markdown table of all keys of a configuration file with their descriptions, without its head. @see CFG-09 */
export function keyTable(kind: ConfigKind): readonly string[] {
  return [...allKeys(configJsonSchema(kind))].map(
    ({ key, description }) => `| \`${key}\` | ${description.replaceAll("|", "\\|")} |`,
  )
}
