import { type Command, Option } from "commander"
import { stringify } from "yaml"
import { openAdminClient, textOf } from "../../adapters/admin-client/open-admin-client.ts"
import { IdentityError } from "../../core/errors.ts"
import type { JsonObject } from "../../core/json.ts"
import type { Contract, RequestOf, ResponseOf } from "../../transports/admin/contract.ts"
import { whatIsWrong } from "../../transports/admin/operation.ts"
import { UsageError } from "../command-failure.ts"
import { findServer, type ServerOptions, withServer } from "./admin-server.ts"

/** What every command has that asks a running server. */
export interface AdminOptions extends ServerOptions {
  readonly output: "table" | "json" | "yaml"
}

/** What a command that takes something away has beside them. */
export interface DestructiveOptions extends AdminOptions {
  readonly yes?: true
  readonly dryRun?: "true" | "false"
}

/** Options that find the server, and the form of the output. */
export function withAdmin(command: Command): Command {
  return withServer(command).addOption(
    new Option("-o, --output <form>", "form of the output").choices(["table", "json", "yaml"]).default("table"),
  )
}

/** {@link withAdmin} for what takes something away: it only says what it would do, until it is told `--yes`. @see ADM-31 */
export function withDryRun(command: Command): Command {
  return withAdmin(command)
    .option("--yes", "do it; without it nothing is changed")
    .addOption(new Option("--dry-run <choice>", "only say what would be done").choices(["true", "false"]))
}

/** True until the user says that it is meant. @throws UsageError for both at once */
export function isDryRun({ yes, dryRun }: DestructiveOptions): boolean {
  if (yes === true && dryRun === "true") throw new UsageError("--yes and --dry-run=true exclude each other")
  return yes !== true && dryRun !== "false"
}

/**
 * Ask for one operation; a destructive one is tried only unless the options say otherwise.
 * @throws UsageError for what no server would take; IdentityError as the server says it, or `not-ready`
 */
export async function askAdmin<C extends Contract>(
  contract: C,
  request: RequestOf<C>,
  options: AdminOptions,
): Promise<ResponseOf<C>> {
  const members = Object.entries(request).filter(([, value]) => value !== undefined)
  const checked = contract.request.safeParse(Object.fromEntries(members))
  if (!checked.success) throw new UsageError(whatIsWrong(checked.error))
  const dryRun = contract.destructive === true ? { dry_run: isDryRun(options) } : {}
  const { path, rest } = fillPath(contract.path, { ...Object.fromEntries(members), ...dryRun })
  const client = openAdminClient(await findServer(options))
  const reply = await client.call({ method: contract.method, path, input: rest }, AbortSignal.timeout(TIMEOUT))
  const parsed = contract.response.safeParse(reply)
  if (parsed.success) return parsed.data as ResponseOf<C> // the schema is the contract's own
  throw new IdentityError("unsupported", "the server's answer is not what this version of assay knows", {
    reason: "operation-unknown",
    next: "use the version of assay that the server has (assay status -o json shows it)",
    cause: parsed.error,
  })
}

/** Print a reply in the form that was asked for. */
export function printAdmin(reply: object, { output }: AdminOptions, table: () => string): void {
  if (output === "json") process.stdout.write(`${JSON.stringify(reply, undefined, 2)}\n`)
  else if (output === "yaml") process.stdout.write(stringify(reply))
  else process.stdout.write(`${table().trimEnd()}\n`)
}

/** Members that stand in the path go there; the rest is query or body. */
function fillPath(template: string, request: JsonObject): { readonly path: string; readonly rest: JsonObject } {
  const used = new Set<string>()
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    used.add(name)
    return encodeURIComponent(textOf(request[name]))
  })
  return { path, rest: Object.fromEntries(Object.entries(request).filter(([name]) => !used.has(name))) }
}

const TIMEOUT = 30_000
