import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { peerFile } from "./peer.ts"

/** A lint that a certificate did not pass. */
export interface ZlintFinding {
  /** Path of the PEM file, as given. */
  readonly file: string
  readonly lint: string
  readonly result: "info" | "warn" | "error" | "fatal"
  readonly details: string
}

/**
 * Lint PEM files, one certificate each, with every lint whose source is an RFC or the community. An empty answer means that all lints ran
 * and none had anything to say. @throws Error when a file cannot be read as a certificate, or no lint applied to it
 */
export async function zlint(pemFiles: readonly string[]): Promise<ZlintFinding[]> {
  const command = await peerFile("zlint", "zlint")
  const findings: ZlintFinding[] = []
  for (let first = 0; first < pemFiles.length; first += FILES_A_RUN) {
    const files = pemFiles.slice(first, first + FILES_A_RUN)
    const { stdout } = await run(command, ["-includeSources", SOURCES, ...files], { maxBuffer: OUTPUT_BYTES })
    const reports = stdout.trim().split("\n")
    if (reports.length !== files.length) throw new Error(`zlint answered ${reports.length} of ${files.length} files`)
    files.forEach((file, index) => {
      findings.push(...findingsOf(file, JSON.parse(reports[index] ?? "")))
    })
  }
  return findings
}

function findingsOf(file: string, report: unknown): ZlintFinding[] {
  const results = Object.entries(isRecord(report) ? report : {})
  if (!results.some(([, lint]) => isRecord(lint) && lint["result"] === "pass"))
    throw new Error(`no lint passed ${file}`)
  return results.flatMap(([lint, outcome]) => {
    const result = isRecord(outcome) ? outcome["result"] : undefined
    if (typeof result !== "string") throw new TypeError(`zlint gave no result for ${lint}`)
    if (SILENT.includes(result)) return []
    const details = isRecord(outcome) && typeof outcome["details"] === "string" ? outcome["details"] : ""
    return [{ file, lint, result: severityOf(result), details }]
  })
}

function severityOf(result: string): ZlintFinding["result"] {
  if (result === "info" || result === "warn" || result === "error" || result === "fatal") return result
  throw new TypeError(`zlint gave an unknown result ${result}`)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
}

const run = promisify(execFile)
const SOURCES = "RFC3279,RFC5280,RFC5480,RFC5891,RFC6962,RFC8813,Community"
/** Lint ran and was content, or had nothing to look at. */
const SILENT: readonly string[] = ["pass", "NA", "NE"]
const FILES_A_RUN = 256
const OUTPUT_BYTES = 64 * 1024 * 1024
