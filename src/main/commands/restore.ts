import { type Command, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { sourceOf } from "../../app/authority/restore-trust-domain.ts"
import type { AuthorityRecord } from "../../ports/authority-journal.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { readSealingKey } from "../server/read-sealing-key.ts"
import { type Restored, restoreServerState } from "../server/restore.ts"
import { columns } from "./columns.ts"

interface RestoreOptions {
  readonly config: string
  readonly from?: string
  readonly withoutStore?: true
  readonly yes?: true
  readonly output: "table" | "json"
}

/** `assay restore`: go on from a backup, or from the keys alone, as another incarnation. @see STO-34 */
export function registerRestore(program: Command): void {
  program
    .command("restore")
    .description("go on with a store from a backup, or with none: as a new incarnation of the trust domain")
    .requiredOption("-c, --config <file>", "configuration of the server, which must not run")
    .option("--from <file>", "a copy that assay backup made; default: the store was put back already")
    .option("--without-store", "there is no copy: go on from the key folder alone")
    .option("--yes", "do it; without it nothing is changed")
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["table", "json"]).default("table"))
    .addHelpText("after", HELP)
    .action(restore)
}

async function restore(options: RestoreOptions): Promise<void> {
  const { from, withoutStore = false, yes = false, output } = options
  if (from !== undefined && withoutStore) throw new UsageError("--from and --without-store exclude each other")
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  const key = await readSealingKey(config, process.env)
  const plan = await restoreServerState(config, key, { from, withoutStore, dryRun: !yes })
  process.stdout.write(
    output === "json" ? `${JSON.stringify(summaryOf(plan, yes), undefined, 2)}\n` : tableOf(plan, yes),
  )
  if (!yes) process.stderr.write("nothing was changed; run it again with --yes\n")
}

function summaryOf(plan: Restored, changed: boolean) {
  const { found, witnessed, record } = plan
  const brief = (one: AuthorityRecord | undefined) =>
    one && { incarnation: one.incarnation, revision: one.revision, epoch: one.epoch }
  return {
    trust_domain: record.trustDomain,
    changed,
    authorities_from: sourceOf(plan),
    store: brief(found) ?? null,
    key_folder: brief(witnessed) ?? null,
    now: brief(record),
    rotation: record.rotations.x509.phase,
    forgotten_bundles: plan.forgotten.map(({ bundle: { trustDomain, sequence }, acceptedAt }) => {
      return { trust_domain: trustDomain, sequence, accepted_at: acceptedAt }
    }),
  }
}

function tableOf(plan: Restored, changed: boolean): string {
  const { found, witnessed, record } = plan
  const row = (name: string, one: AuthorityRecord | undefined) =>
    one === undefined ? [name, "-", "-", "-"] : [name, one.incarnation, String(one.revision), String(one.epoch)]
  const rows = [
    ["", "INCARNATION", "REVISION", "EPOCH"],
    row("store", found),
    row("key folder", witnessed),
    row(changed ? "now" : "would be", record),
  ]
  const source = sourceOf(plan) === "store" ? "the store" : "the key folder, which knows more than the store"
  const text = `trust domain ${record.trustDomain}; authorities of ${source}; rotation of the root: ${record.rotations.x509.phase}`
  return `${[...columns(rows), "", text, ...forgottenLines(plan)].join("\n")}\n`
}

/** @see TD-28 */
function forgottenLines({ forgotten }: Restored): readonly string[] {
  if (forgotten.length === 0) return []
  const named = forgotten.map(({ bundle: { trustDomain, sequence }, acceptedAt }) => {
    return `  ${trustDomain}: sequence ${sequence}, read first on ${new Date(acceptedAt * 1000).toISOString()}`
  })
  return [
    "what the store kept of other trust domains does not count any more, but their files alone, so see to those:",
    ...named,
  ]
}

const HELP = `
What happened after the backup is not in the store any more. Proofs and tokens from before this moment are refused, and a rotation
waits for everything that may have been signed meanwhile. See spec/runbooks/restore.md.

Examples:
  assay restore -c assay.yaml --from /backup/assay-2026-01-31.db
  assay restore -c assay.yaml --from /backup/assay-2026-01-31.db --yes
  assay restore -c assay.yaml --without-store --yes`
