/** Writes deploy/schema, deploy/openapi and the tables of keys in spec/95-config.md from the schemas that are in force. Run by `npm run gen`. */
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type ConfigKind, configJsonSchema } from "../src/main/config/json-schema.ts"
import { keyTable } from "../src/main/config/key-table.ts"
import { CONTRACTS } from "../src/transports/admin/contracts.ts"
import { openApiDocument } from "../src/transports/admin/openapi.ts"

const CHAPTER = fileURLToPath(new URL("../spec/95-config.md", import.meta.url))

/** The chapter with the rows below `## Keys of assay <kind>` replaced. */
function withKeyTable(chapter: string, kind: ConfigKind): string {
  const table = new RegExp(`(## Keys of assay ${kind}\\n\\| key \\| meaning \\|\\n\\|---\\|---\\|\\n)(?:\\| .*\\n)*`)
  if (!table.test(chapter)) throw new Error(`spec/95-config.md has no table of the keys of assay ${kind}`)
  return chapter.replace(table, (_, head: string) => `${head}${keyTable(kind).join("\n")}\n`)
}

const kinds: readonly ConfigKind[] = ["server", "agent"]
for (const kind of kinds) {
  const file = fileURLToPath(new URL(`schema/${kind}.json`, import.meta.url))
  writeFileSync(file, `${JSON.stringify(configJsonSchema(kind), null, 2)}\n`)
}
writeFileSync(CHAPTER, kinds.reduce(withKeyTable, readFileSync(CHAPTER, "utf8")))
const openApi = fileURLToPath(new URL("openapi/admin.json", import.meta.url))
writeFileSync(openApi, `${JSON.stringify(openApiDocument(CONTRACTS), null, 2)}\n`)
