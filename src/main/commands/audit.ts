import { createReadStream } from "node:fs"
import { createInterface } from "node:readline"
import { type Command, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { makeSealMac } from "../../adapters/disk-keys/seal-mac.ts"
import { type AuditReader, openAuditReader } from "../../adapters/sqlite/audit-reader.ts"
import { encodeEnvelope, parseEnvelope } from "../../core/audit/envelope.ts"
import type { AuditRecord } from "../../core/audit/record.ts"
import { type ChainBreak, ChainWalk } from "../../core/audit/walk.ts"
import { IdentityError } from "../../core/errors.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { readSealingKey } from "../server/read-sealing-key.ts"
import { type VerifyResult, verifyJson, verifyText } from "./audit-output.ts"
import { parseSequence, registerAuditSearch } from "./audit-search.ts"

/** `assay audit`: is the record of decisions whole, and what is in it? @see AUD-21 AUD-22 AUD-23 */
export function registerAudit(program: Command): void {
  const audit = program.command("audit").description("the record of every decision, chained and sealed")
  audit
    .command("verify")
    .description("walk the chain and check its seals; exit 0 when whole, 3 when broken, 4 when not sealed lately")
    .requiredOption("-c, --config <file>", "configuration of the server, which may be running")
    .option("--file <file>", "lines of assay audit export, in place of the store")
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["text", "json"]).default("text"))
    .addHelpText("after", HELP)
    .action(verify)
  registerAuditSearch(audit)
  audit
    .command("export")
    .description("print records as CloudEvents, one line of JSON each, oldest first")
    .requiredOption("-c, --config <file>", "configuration of the server, which may be running")
    .option("--after <sequence>", "records after this one", parseSequence, 0)
    .action(exportLines)
}

interface VerifyOptions {
  readonly config: string
  readonly file?: string
  readonly output: "text" | "json"
}

async function verify(options: VerifyOptions): Promise<void> {
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  const mac = await sealMac(config)
  const keyed = mac === undefined ? {} : { verifySeal: mac.verify }
  const walk = new ChainWalk({ from: options.file === undefined ? "start" : "middle", ...keyed })
  const records = options.file === undefined ? storedRecords(config) : fileRecords(options.file)
  const broken = await firstBreak(walk, records)
  const result: VerifyResult = {
    broken,
    report: walk.report(),
    keyed: mac !== undefined && (options.file === undefined || walk.report().seals > 0),
  }
  process.stdout.write(options.output === "json" ? verifyJson(result) : verifyText(result))
  if (broken !== undefined) process.exitCode = EXIT_BROKEN
  else if (options.file === undefined && result.keyed && result.report.unsealedFor > UNSEALED_FOR)
    process.exitCode = EXIT_UNSEALED
}

/** Says how far it is on standard error, now and then. */
async function firstBreak(walk: ChainWalk, records: AsyncIterable<AuditRecord>): Promise<ChainBreak | undefined> {
  let count = 0
  for await (const record of records) {
    const broken = walk.take(record)
    if (broken !== undefined) return broken
    if (++count % TELL_EVERY === 0) process.stderr.write(`${count} records are whole so far\n`)
  }
  return undefined
}

/** In pages, so that no long read keeps the server's log from shrinking. */
async function* storedRecords(config: ServerConfig): AsyncGenerator<AuditRecord> {
  using reader = openAuditReader(config.storage.sqlite)
  yield* pagesAfter(reader, 0)
}

function* pagesAfter(reader: AuditReader, after: number): Generator<AuditRecord> {
  let last = after
  for (;;) {
    const page = reader.read(last, PAGE)
    yield* page
    if (page.length < PAGE) return
    last = page.at(-1)?.sequence ?? last
  }
}

/** A line that was written twice is the same record, and taken once. */
async function* fileRecords(file: string): AsyncGenerator<AuditRecord> {
  let number = 0
  let last = 0
  for await (const line of createInterface({
    input: createReadStream(file, "utf8"),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    number++
    const record = parseLine(line, file, number)
    if (record.sequence > last) yield record
    last = Math.max(last, record.sequence)
  }
}

function parseLine(line: string, file: string, number: number): AuditRecord {
  try {
    return parseEnvelope(line)
  } catch (cause) {
    throw new IdentityError("malformed", `${file}: line ${number} is not a whole record`, { cause })
  }
}

async function exportLines(options: { readonly config: string; readonly after: number }): Promise<void> {
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  using reader = openAuditReader(config.storage.sqlite)
  let previous = options.after === 0 ? undefined : reader.read(options.after - 1, 1)[0]?.hash
  for (const record of pagesAfter(reader, options.after)) {
    const line = `${encodeEnvelope(config.trustDomain, record, previous)}\n`
    previous = record.hash
    if (!process.stdout.write(line)) await new Promise((resolve) => process.stdout.once("drain", resolve))
  }
}

/** Without the sealing key the chain is walked, but its seals say nothing. */
async function sealMac(config: ServerConfig) {
  try {
    return makeSealMac(await readSealingKey(config, process.env))
  } catch {
    return undefined
  }
}

const PAGE = 2000
const TELL_EVERY = 500_000
const EXIT_BROKEN = 3
const EXIT_UNSEALED = 4
/** A running server seals each minute. */
const UNSEALED_FOR = 600
const HELP = `
With the sealing key (keys.sealing_key_file or ASSAY_SEALING_KEY) seals are checked, too.

Examples:
  assay audit verify -c assay.yaml
  assay audit search -c assay.yaml --type svid.refused --since 2026-11-22T10:00:00Z
  assay audit export -c assay.yaml --after 120000 > part.jsonl
  assay audit verify -c assay.yaml --file part.jsonl`
