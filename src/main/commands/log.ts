import { type Command, InvalidArgumentError, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { openIssuanceReader } from "../../adapters/sqlite/issuance-reader.ts"
import type { IssuanceQuery } from "../../ports/issuance-log.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { issuanceJson, issuanceTable } from "./log-output.ts"

interface SearchOptions {
  readonly config: string
  readonly identity?: string
  readonly serial?: string
  readonly cluster?: string
  readonly namespace?: string
  readonly pod?: string
  readonly kind?: "x509" | "jwt"
  readonly since?: number
  readonly limit: number
  readonly output: "table" | "json"
}

/** `assay log`: what was issued, and to whom. @see CLI-12 */
export function registerLog(program: Command): void {
  program
    .command("log")
    .description("the record of everything that was signed")
    .command("search")
    .description("find issuances, newest first; every filter that is given must match exactly")
    .requiredOption("-c, --config <file>", "configuration of the server, which may be running")
    .option("--identity <spiffe id>", "issued for this identity")
    .option("--serial <hex>", "this certificate, or the token with this jti")
    .option("--cluster <name>", "asked for from this cluster")
    .option("--namespace <name>", "… from this namespace")
    .option("--pod <name>", "… by this pod")
    .addOption(new Option("--kind <kind>", "certificates or tokens").choices(["x509", "jwt"]))
    .option("--since <time>", "issued at or after this time, ISO 8601", parseTime)
    .option("--limit <count>", "at most this many, 1 to 1000", Number, 50)
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["table", "json"]).default("table"))
    .addHelpText("after", HELP)
    .action(search)
}

async function search(options: SearchOptions): Promise<void> {
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  await using reader = await openIssuanceReader({ path: config.storage.sqlite })
  const found = await reader.search(queryOf(options))
  process.stdout.write(options.output === "json" ? issuanceJson(found) : issuanceTable(found))
}

function queryOf(options: SearchOptions): IssuanceQuery {
  const { identity, serial, cluster, namespace, pod, kind, since, limit } = options
  return {
    limit,
    ...(identity === undefined ? {} : { spiffeId: identity }),
    ...(serial === undefined ? {} : { serial }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(pod === undefined ? {} : { pod }),
    ...(kind === undefined ? {} : { kind }),
    ...(since === undefined ? {} : { since }),
  }
}

function parseTime(text: string): number {
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new InvalidArgumentError("not an ISO 8601 time, such as 2026-11-22T10:00:00Z")
  return Math.floor(time / 1000)
}

const HELP = `
Examples:
  assay log search -c assay.yaml --identity spiffe://prod.example/ns/shop/sa/web
  assay log search -c assay.yaml --serial 01f3a9…  -o json
  assay log search -c assay.yaml --cluster prod --pod web-0 --since 2026-11-22T10:00:00Z`
