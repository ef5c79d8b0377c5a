import { Argument, type Command } from "commander"
import { type ConfigKind, configJsonSchema } from "../config/json-schema.ts"

/** `assay config schema server|agent`: the JSON Schema of a configuration file. @see CFG-08 */
export function registerConfigSchema(program: Command): void {
  const config = program.command("config").description("about configuration files")
  config
    .command("schema")
    .description("print the JSON Schema, for editors and pipelines")
    .addArgument(new Argument("<kind>", "whose configuration").choices(["server", "agent"]))
    .addHelpText("after", "\nExample:\n  assay config schema server > assay.schema.json")
    .action((kind: ConfigKind) => {
      process.stdout.write(`${JSON.stringify(configJsonSchema(kind), null, 2)}\n`)
    })
}
