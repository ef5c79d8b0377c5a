import type { Command } from "commander"
import { runAgent } from "../agent.ts"
import { loadAgentConfig } from "../config/agent-config.ts"
import { openServingLog } from "./serving-log.ts"

/** `assay agent`: Workload API and SDS for the workloads of one pod. */
export function registerAgent(program: Command): void {
  program
    .command("agent")
    .description("serve the Workload API and Envoy SDS to the workloads of this pod")
    .requiredOption("-c, --config <file>", "configuration")
    .action(agent)
}

/** Ends once it was asked to stop and has. @throws IdentityError; Node's own error when the file cannot be read @see AGT-42 CLI-07 */
async function agent({ config: file }: { readonly config: string }): Promise<void> {
  const config = await loadAgentConfig(file)
  const log = openServingLog(config.log.level)
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  // Who asks for a reload, as the server knows one, does not mean to end the process.
  const ignore = (): void => undefined
  process.once("SIGINT", stop).once("SIGTERM", stop).on("SIGHUP", ignore)
  try {
    await runAgent(config, log, controller.signal)
  } catch (thrown) {
    // The last line on stderr is for people; where a bug comes from is only here.
    log.error({ err: thrown }, "agent failed")
    throw thrown
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop).off("SIGHUP", ignore)
  }
}
