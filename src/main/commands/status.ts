import type { Command } from "commander"
import type { ResponseOf } from "../../transports/admin/contract.ts"
import { statusShow } from "../../transports/admin/status-operations.ts"
import { type AdminOptions, askAdmin, printAdmin, withAdmin } from "./admin-command.ts"
import { columns } from "./columns.ts"
import { lifeLeft } from "./life-left.ts"

/** `assay status`: what a running server is and holds. @see ADM-30 */
export function registerStatus(program: Command): void {
  withAdmin(program.command("status"))
    .description("show what a running server is, its authorities, and how far its consumers are")
    .addHelpText("after", "\nExample:\n  assay status -c assay.yaml -o json")
    .action(status)
}

async function status(options: AdminOptions): Promise<void> {
  const reply = await askAdmin(statusShow, {}, options)
  printAdmin(reply, options, () => statusTable(reply))
}

function statusTable(reply: ResponseOf<typeof statusShow>): string {
  const { subscribers } = reply
  const head = columns([
    ["trust domain", reply.trust_domain],
    ["version", reply.version],
    ["ready", reply.ready ? "yes" : "no"],
    ["epoch", String(reply.epoch)],
    ["rules", reply.rules_revision],
    [
      "subscribers",
      `${subscribers.count}, ${subscribers.behind} behind, ${subscribers.refusing} refusing; ` +
        `${subscribers.consumers} consumers behind them, ${subscribers.consumers_refusing} refusing`,
    ],
  ])
  const rows = reply.authorities.map(({ kind, state, id, not_after: notAfter }) => {
    return [kind, state, id, notAfter === undefined ? "" : lifeLeft(notAfter, reply.now)]
  })
  const authorities = columns([["AUTHORITY", "STATE", "ID", "EXPIRES"], ...rows])
  return [...head, "", ...authorities, ...federationTable(reply)].join("\n")
}

/** Nothing where there is no other trust domain. */
function federationTable({ federation }: ResponseOf<typeof statusShow>): readonly string[] {
  if (federation.length === 0) return []
  const rows = federation.map((one) => {
    const authorities = `${one.x509_authorities} X.509, ${one.jwt_authorities} JWT`
    return [one.trust_domain, one.in_force, authorities, one.sequence?.toString() ?? "", one.trouble ?? ""]
  })
  return ["", ...columns([["FEDERATED", "IN FORCE", "AUTHORITIES", "SEQUENCE", "FILE"], ...rows])]
}
