import type { Command } from "commander"
import { consumersList } from "../../transports/admin/consumer-operations.ts"
import type { RequestOf, ResponseOf } from "../../transports/admin/contract.ts"
import { type AdminOptions, askAdmin, printAdmin, withAdmin } from "./admin-command.ts"
import { columns } from "./columns.ts"

type Options = AdminOptions & RequestOf<typeof consumersList>

/** `assay consumers list`: who holds what, and what each has proven. @see EVD-10 */
export function registerConsumers(program: Command): void {
  const consumers = program.command("consumers").description("show who holds certificates and bundles")
  withAdmin(consumers.command("list"))
    .description("list consumers with what each has proven, the worst first")
    .option("--cluster <name>", "only of this cluster")
    .option("--namespace <name>", "only of this namespace")
    .option("--pod <name>", "only of this pod")
    .option("--kind <kind>", "only sds, workload-api, file or agent")
    .option("--grade <grade>", "only with evidence of this grade")
    .option("--behind <epoch>", "only those that have not proven to hold this epoch")
    .option("--limit <count>", "at most so many, 1 to 1000")
    .addHelpText("after", "\nExample:\n  assay consumers list -c assay.yaml --behind 12")
    .action(list)
}

async function list(options: Options): Promise<void> {
  const given = FILTERS.flatMap((filter) => (options[filter] === undefined ? [] : [[filter, options[filter]]]))
  const reply = await askAdmin(consumersList, Object.fromEntries(given), options)
  printAdmin(reply, options, () => consumersTable(reply))
  const more = reply.total - reply.consumers.length
  if (more > 0)
    process.stderr.write(`there are ${more} more: a higher --limit shows up to ${MAX_LIMIT}, or narrow the list\n`)
}

function consumersTable({ consumers }: ResponseOf<typeof consumersList>): string {
  const rows = consumers.map((row) => [
    row.spiffe_id ?? "(only verifies)",
    row.pod,
    row.kind,
    row.live ? String(row.epoch) : "gone",
    row.grade,
    new Date(row.not_after * 1000).toISOString(),
    row.nack_reason ?? "",
  ])
  return columns([["IDENTITY", "POD", "KIND", "EPOCH", "GRADE", "HOLDS UNTIL", "REFUSED"], ...rows]).join("\n")
}

const FILTERS = ["cluster", "namespace", "pod", "kind", "grade", "behind", "limit"] as const
const MAX_LIMIT = 1000
