import type { Command } from "commander"
import { openLog } from "../../adapters/log/pino-log.ts"
import { toIdentityError } from "../../core/errors.ts"
import { runAgent } from "../agent.ts"
import { type AgentConfig, loadAgentConfig } from "../config/agent-config.ts"
import { ConfigError } from "../config/problem.ts"

/** `assay agent`: Workload API and SDS for the workloads of one pod. */
export function registerAgent(program: Command): void {
  program
    .command("agent")
    .description("serve the Workload API and Envoy SDS to the workloads of this pod")
    .requiredOption("--config <file>", "configuration, YAML")
    .action(agent)
}

/** Exit code 64 for a configuration that is wrong, 1 for a failure; 0 once it was asked to stop and has. @see AGT-42 */
async function agent({ config: file }: { readonly config: string }): Promise<void> {
  const config = await readConfig(file)
  if (config === undefined) return
  const log = openLog(config.log.level, process.stderr)
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  process.once("SIGINT", stop).once("SIGTERM", stop)
  try {
    await runAgent(config, log, controller.signal)
  } catch (thrown) {
    log.error({ err: thrown, code: toIdentityError(thrown).code }, "agent failed")
    process.exitCode = 1
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

async function readConfig(file: string): Promise<AgentConfig | undefined> {
  try {
    return await loadAgentConfig(file)
  } catch (thrown) {
    const why = thrown instanceof ConfigError ? thrown.message : `${file} cannot be read: ${String(thrown)}`
    process.stderr.write(`assay: ${why}\n`)
    process.exitCode = USAGE
    return undefined
  }
}

const USAGE = 64
