import type { Command } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { backupStore } from "../../adapters/sqlite/backup-store.ts"
import { loadServerConfig } from "../config/server-config.ts"

/** `assay backup`: a copy of the store, also of one that is being written. @see STO-33 */
export function registerBackup(program: Command): void {
  program
    .command("backup")
    .description("copy the store into a new file, while the server runs or not; without the keys")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .requiredOption("--to <file>", "the copy; nothing is overwritten")
    .addHelpText("after", HELP)
    .action(backup)
}

async function backup({ config: file, to }: { readonly config: string; readonly to: string }): Promise<void> {
  const { storage, keys } = await loadServerConfig(file, makeCelConditions().compile)
  const bytes = await backupStore(storage.sqlite, to)
  process.stdout.write(`copied ${storage.sqlite} to ${to}: ${bytes} bytes\n`)
  process.stderr.write(`the keys are not in it: keep ${keys.directory} and the sealing key too, each somewhere else\n`)
}

const HELP = `
The copy holds who was given what, and the authorities; nothing in it signs. Its way back is assay restore.

Example:
  assay backup -c assay.yaml --to /backup/assay-$(date +%F).db`
