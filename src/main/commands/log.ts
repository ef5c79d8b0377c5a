import { type Command, InvalidArgumentError, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { openIssuanceReader } from "../../adapters/sqlite/issuance-reader.ts"
import { toIdentityError } from "../../core/errors.ts"
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/id.ts"
import type { IssuanceQuery } from "../../ports/issuance-log.ts"
import { issuanceSearch, searchPage } from "../../transports/admin/issuance-operations.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { type AdminOptions, askAdmin, printAdmin, withAdmin } from "./admin-command.ts"
import { type IssuanceRecord, issuanceTable, recordOfLogged, recordOfReply } from "./log-output.ts"

interface SearchOptions extends AdminOptions {
  readonly identity?: SpiffeId
  readonly serial?: string
  readonly cluster?: string
  readonly namespace?: string
  readonly pod?: string
  readonly kind?: "x509" | "jwt"
  readonly since?: number
  readonly limit: number
}

/** `assay log`: what was issued, and to whom. @see CFG-21 */
export function registerLog(program: Command): void {
  const log = program.command("log").description("the record of everything that was signed")
  withAdmin(log.command("search"))
    .description("find issuances, newest first; every filter that is given must match exactly")
    .option("--identity <spiffe id>", "issued for this identity", parseIdentity)
    .option("--serial <hex>", "this certificate, or the token with this jti", parseSerialText)
    .option("--cluster <name>", "asked for from this cluster")
    .option("--namespace <name>", "… from this namespace")
    .option("--pod <name>", "… by this pod")
    .addOption(new Option("--kind <kind>", "certificates or tokens").choices(["x509", "jwt"]))
    .option("--since <time>", "issued at or after this time, ISO 8601", parseTime)
    .option("--limit <count>", "at most this many, 1 to 1000", parseLimit, 50)
    .addHelpText("after", HELP)
    .action(search)
}

async function search(options: SearchOptions): Promise<void> {
  const isAsked = options.server !== undefined || options.adminSocket !== undefined
  if (!isAsked && options.config === undefined) {
    throw new UsageError("name the store's server by -c, or a running one by --admin-socket or --server")
  }
  const { found, more } = isAsked ? await askServer(options) : await readStore(options.config ?? "", options)
  printAdmin(found, options, () => issuanceTable(found))
  if (more) process.stderr.write(`there are older ones: ${options.limit < MAX_LIMIT ? RAISE : NARROW}\n`)
}

interface Found {
  readonly found: readonly IssuanceRecord[]
  readonly more: boolean
}

/** Whoever can read the store needs no server for it. */
async function readStore(file: string, options: SearchOptions): Promise<Found> {
  const config = await loadServerConfig(file, makeCelConditions().compile)
  await using reader = await openIssuanceReader({ path: config.storage.sqlite })
  const { found, more } = await searchPage(reader, queryOf(options))
  return { found: found.map(recordOfLogged), more }
}

/** Which writes down who searched, and needs the right to. */
async function askServer(options: SearchOptions): Promise<Found> {
  const { identity, serial, cluster, namespace, pod, kind, since, limit } = options
  const texts = { limit: String(limit), ...(since === undefined ? {} : { since: String(since) }) }
  const request = { spiffe_id: identity, serial, cluster, namespace, pod, kind, ...texts }
  const { issuances, more } = await askAdmin(issuanceSearch, request, options)
  return { found: issuances.map(recordOfReply), more }
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

export function parseIdentity(text: string): SpiffeId {
  try {
    return parseSpiffeId(text)
  } catch (thrown) {
    const why = toIdentityError(thrown).message
    throw new InvalidArgumentError(`not a SPIFFE ID, such as spiffe://prod.example/ns/shop/sa/web: ${why}`)
  }
}

/** Also as OpenSSL and browsers print it: capitals, and a colon between octets. */
export function parseSerialText(text: string): string {
  if (!SERIAL.test(text))
    throw new InvalidArgumentError("not the 38 (or 34) hex digits of a serial, nor the 32 of a jti")
  return text.replaceAll(":", "").toLowerCase()
}

export function parseLimit(text: string): number {
  const limit = Number(text)
  if (/^\d+$/.test(text) && limit >= 1 && limit <= MAX_LIMIT) return limit
  throw new InvalidArgumentError(`not a whole number from 1 to ${MAX_LIMIT}`)
}

export function parseTime(text: string): number {
  const time = ISO_8601.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new InvalidArgumentError("not an ISO 8601 time, such as 2026-11-22T10:00:00Z")
  return Math.floor(time / 1000)
}

const SERIAL = /^[0-9a-f]{2}(?::?[0-9a-f]{2}){15,18}$/i
/** Date.parse takes much else, and "5" for a day in May. */
const ISO_8601 = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/
const MAX_LIMIT = 1000
const RAISE = `a higher --limit shows up to ${MAX_LIMIT}, or narrow the search`
const NARROW = "narrow the search"
const HELP = `
With -c the store is read; with --admin-socket or --server a running server is asked, which records who searched.

Examples:
  assay log search -c assay.yaml --identity spiffe://prod.example/ns/shop/sa/web
  assay log search -c assay.yaml --serial 01f3a9…  -o json
  assay log search -c assay.yaml --cluster prod --pod web-0 --since 2026-11-22T10:00:00Z`
