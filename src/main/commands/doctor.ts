import type { Command } from "commander"
import packageJson from "../../../package.json" with { type: "json" }
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { type CheckedFinding, exitCodeOf, SEVERITIES } from "../../core/doctor/check.ts"
import { runChecks } from "../../core/doctor/checks.ts"
import type { DoctorFacts, Look } from "../../core/doctor/facts.ts"
import { APPROVAL, approvalReach } from "../config/approval-reach.ts"
import { renderProblem } from "../config/problem.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { look } from "../doctor/look.ts"
import { lookAtMachine } from "../doctor/look-machine.ts"
import { lookAtServer } from "../doctor/look-server.ts"
import { type AdminOptions, printAdmin, withAdmin } from "./admin-command.ts"

/** `assay doctor`: what is wrong, or soon will be, and what to do. @see ADM-35 ADM-36 */
export function registerDoctor(program: Command): void {
  withAdmin(program.command("doctor"))
    .description("check a server, its machine, and what it depends on; nothing is changed")
    .addHelpText("after", HELP)
    .action(doctor)
}

async function doctor(options: AdminOptions): Promise<void> {
  const findings = runChecks(await gather(options))
  const counts = Object.fromEntries(
    SEVERITIES.map((one) => [one, findings.filter(({ severity }) => severity === one).length]),
  )
  printAdmin({ counts, findings }, options, () => table(findings))
  process.exitCode = exitCodeOf(findings)
}

async function gather(options: AdminOptions): Promise<DoctorFacts> {
  const { config: file } = options
  const loaded = file === undefined ? undefined : await look(() => loadServerConfig(file, makeCelConditions().compile))
  const [machine, server] = await Promise.all([
    loaded?.kind === "seen" ? lookAtMachine(loaded.seen) : undefined,
    isFindable(options, loaded) ? lookAtServer(options, () => systemClock.now()) : UNFINDABLE,
  ])
  const node = { version: process.versions.node, least: packageJson.engines.node.replace(/^[^\d]*/, "") }
  const approval = loaded?.kind === "seen" ? approvalReach(loaded.seen) : []
  const serverNamed = options.server !== undefined || options.adminSocket !== undefined
  return { now: systemClock.now(), node, configuration: warningsOf(loaded), approval, machine, server, serverNamed }
}

/** Where its socket is stands in the configuration. */
function isFindable({ server, adminSocket }: AdminOptions, loaded: Look<ServerConfig> | undefined): boolean {
  return loaded?.kind !== "failed" || server !== undefined || adminSocket !== undefined
}

function warningsOf(loaded: Look<ServerConfig> | undefined): Look<readonly string[]> | undefined {
  if (loaded?.kind !== "seen") return loaded
  // Those of admin.approval have a check of their own.
  const others = loaded.seen.warnings.filter(({ key }) => key !== APPROVAL.join("."))
  return { kind: "seen", seen: others.map(renderProblem) }
}

/** The worst first; those that are well last. */
function table(findings: readonly CheckedFinding[]): string {
  const lines = SEVERITIES.toReversed().flatMap((severity) => {
    return findings
      .filter((one) => one.severity === severity)
      .flatMap(({ check, finding, next }) => {
        const [first = "", ...rest] = finding.split("\n")
        const head = `${severity.padEnd(8)}  ${check}: ${first}`
        const more = [...rest, ...(next === undefined ? [] : [`next: ${next}`])]
        return [head, ...more.map((line) => `${" ".repeat(10)}${line}`)]
      })
  })
  return lines.join("\n")
}

const UNFINDABLE: Look<never> = { kind: "failed", why: "without its configuration no server was asked" }
const HELP = `
Exit code: 0 nothing to do, 1 warnings, 2 something critical.
Example:
  assay doctor -c assay.yaml
  assay doctor --server https://assay.example:8445 --workload-api -o json`
