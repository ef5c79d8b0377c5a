import { type Command, InvalidArgumentError } from "commander"
import { stringify } from "yaml"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { openAuditReader } from "../../adapters/sqlite/audit-reader.ts"
import { encodeEnvelope } from "../../core/audit/envelope.ts"
import { IdentityError } from "../../core/errors.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { AuditFound, AuditQuery } from "../../ports/audit-log.ts"
import { auditFoundOf, auditSearch } from "../../transports/admin/audit-operations.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { type AdminOptions, askAdmin, withAdmin } from "./admin-command.ts"
import { auditTable } from "./audit-output.ts"
import { parseIdentity, parseLimit, parseSerialText, parseTime } from "./log.ts"

/** `assay audit search`: of a running server, else in its store. @see AUD-22 AUD-24 */
export function registerAuditSearch(audit: Command): void {
  withAdmin(audit.command("search"))
    .description("find records, newest first, among a million; every filter that is given must match exactly")
    .option("--type <type>", "such as svid.refused")
    .option("--actor <actor>", "who asked, such as k8s:prod/shop/web/web-0")
    .option("--identity <spiffe id>", "the identity, or the subject of a token", parseIdentity)
    .option("--serial <hex>", "this certificate, or the token with this jti", parseSerialText)
    .option("--request <id>", "the request id of a reply or a log line")
    .option("--since <time>", "at or after this time, ISO 8601", parseTime)
    .option("--until <time>", "at or before this time, ISO 8601", parseTime)
    .option("--before <sequence>", "records before this one, to go on with a search", parseSequence)
    .option("--limit <count>", "at most this many, 1 to 1000", parseLimit, 50)
    .addHelpText("after", HELP)
    .action(search)
}

interface SearchOptions extends AdminOptions {
  readonly type?: string
  readonly actor?: string
  readonly identity?: SpiffeId
  readonly serial?: string
  readonly request?: string
  readonly since?: number
  readonly until?: number
  readonly before?: number
  readonly limit: number
}

/** Found records, and the trust domain that they are of. */
interface Found extends AuditFound {
  readonly trustDomain: string
}

async function search(options: SearchOptions): Promise<void> {
  const { records, lookedFrom, trustDomain } = await find(options)
  const lines = () => records.map(({ record, previous }) => encodeEnvelope(trustDomain, record, previous))
  if (options.output === "json") process.stdout.write(`[${lines().join(",\n")}]\n`)
  else if (options.output === "yaml") process.stdout.write(stringify(lines().map((line): unknown => JSON.parse(line))))
  else process.stdout.write(auditTable(records.map(({ record }) => record)))
  if (lookedFrom > 1) process.stderr.write(`there are older records: go on with --before ${lookedFrom}\n`)
}

/** Whoever can read the store needs no server for it; when one runs, it is asked, and writes down who did. */
async function find(options: SearchOptions): Promise<Found> {
  const { config } = options
  try {
    return await askServer(options)
  } catch (thrown) {
    const isAway = thrown instanceof IdentityError && thrown.reason === "admin-unreachable"
    if (!isAway || config === undefined || options.adminSocket !== undefined) throw thrown
    return readStore(config, options)
  }
}

async function askServer(options: SearchOptions): Promise<Found> {
  const { type, actor, identity, serial, request, since, until, before, limit } = options
  const numbers = { since, until, before, limit }
  const texts = Object.entries(numbers).map(([name, value]) => [name, value === undefined ? undefined : String(value)])
  const names = { type, actor, spiffe_id: identity, serial, request_id: request }
  const reply = await askAdmin(auditSearch, { ...names, ...Object.fromEntries(texts) }, options)
  return { ...auditFoundOf(reply), trustDomain: reply.trust_domain }
}

async function readStore(file: string, options: SearchOptions): Promise<Found> {
  const { storage, trustDomain } = await loadServerConfig(file, makeCelConditions().compile)
  using reader = openAuditReader(storage.sqlite)
  return { ...reader.search(queryOf(options)), trustDomain }
}

function queryOf({ type, actor, identity, serial, request, since, until, before, limit }: SearchOptions): AuditQuery {
  const filters = { type, actor, spiffeId: identity, serial, requestId: request, since, until, before }
  return { limit, ...Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)) }
}

/** The sequence of a record. */
export function parseSequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError("not the sequence of a record")
}

const HELP = `
A running server is asked, and records who searched. With -c alone and no server that answers, its store is read.

Example:
  assay audit search -c assay.yaml --type svid.refused --since 2026-11-22T10:00:00Z`
