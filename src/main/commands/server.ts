import type { Command } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import type { PinoLog } from "../../adapters/log/pino-log.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { makeSystemRandom } from "../../adapters/system/random.ts"
import { dropStartGarbage } from "../../adapters/system/start-garbage.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { type ReloadOutcome, watchServerConfig } from "../config/watch-config.ts"
import { readSealingKey } from "../server/read-sealing-key.ts"
import { initServerState } from "../server/state.ts"
import { type AdoptConfig, runServer, type ServerOptions } from "../server.ts"
import { openServingLog } from "./serving-log.ts"

interface RunOptions {
  readonly config: string
  readonly init?: true
}

/** `assay server`: the authority itself. */
export function registerServer(program: Command): void {
  program
    .command("server")
    .description("run the authority: attest workloads, issue and rotate their SVIDs, serve bundles and secrets")
    .requiredOption("-c, --config <file>", "configuration")
    .option("--init", "make the trust domain when the store is not there yet")
    .addHelpText("after", HELP)
    .action(run)
}

async function run(options: RunOptions): Promise<void> {
  const { compile } = makeCelConditions()
  const config = await loadServerConfig(options.config, compile)
  const log = openServingLog(config.log.level)
  const sealingKey = await readSealingKey(config, process.env)
  if (options.init === true) await initOnce(config, sealingKey)
  for (const { message } of config.warnings) log.warn({}, message)
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  // Who asks for a reload while nothing is watched yet, or any more, does not mean to end the process.
  const ignore = (): void => undefined
  process.once("SIGINT", stop).once("SIGTERM", stop).on("SIGHUP", ignore)
  try {
    const watch: ServerOptions["watch"] = (adopt, metrics, signal) => {
      const onOutcome = (outcome: ReloadOutcome) => metrics.configReloads.inc({ outcome })
      const adoptAll = (next: ServerConfig) => adoptAndLog(next, adopt, log)
      return watchServerConfig(
        { file: options.config, compile, current: config, log, adopt: adoptAll, onOutcome },
        signal,
      )
    }
    const listening = (): void => void dropStartGarbage()
    await runServer({ config, sealingKey, log, watch, listening }, controller.signal)
  } catch (thrown) {
    // The last line on stderr is for people; where it comes from is only here.
    log.error({ err: thrown }, "server failed")
    throw thrown
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop).off("SIGHUP", ignore)
  }
}

async function adoptAndLog(next: ServerConfig, adopt: AdoptConfig, log: PinoLog): Promise<void> {
  await adopt(next)
  log.setLevel(next.log.level)
}

/** A store that is there is left as it is. */
async function initOnce(config: ServerConfig, sealingKey: Secret): Promise<void> {
  try {
    await initServerState(config, async () => sealingKey, systemClock, makeSystemRandom())
  } catch (thrown) {
    const isThere = thrown instanceof IdentityError && thrown.code === "already-exists"
    if (!isThere || thrown.reason === "store-lost") throw thrown
  }
}

const HELP = `
Examples:
  assay server --config assay.yaml
  kill -HUP <pid>      read rules and clusters again; a bad file keeps the last good one`
