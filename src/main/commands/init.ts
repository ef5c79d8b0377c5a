import type { Command } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { makeSealingKeyFile } from "../../adapters/disk-keys/sealing-key.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { makeSystemRandom } from "../../adapters/system/random.ts"
import { openTrustState } from "../../app/authority/trust-state.ts"
import { encodeBundle } from "../../core/spiffe/bundle-document.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { initServerState, openServerState, readSealingKey } from "../server/state.ts"

interface InitOptions {
  readonly config: string
  readonly makeSealingKey?: true
}

/** `assay init`: make the trust domain. @see CLI-10 */
export function registerInit(program: Command): void {
  program
    .command("init")
    .description("make the trust domain: the store, the root key, the first bundle")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .option("--make-sealing-key", "make keys.sealing_key_file when it is not there")
    .addHelpText("after", HELP)
    .action(init)
}

async function init(options: InitOptions): Promise<void> {
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  const { sealingKeyFile } = config.keys
  if (options.makeSealingKey === true && sealingKeyFile !== undefined) await makeSealingKeyFile(sealingKeyFile)
  const sealingKey = await readSealingKey(config, process.env)
  await initServerState(config, sealingKey, systemClock, makeSystemRandom())
  const state = await openServerState(config, sealingKey)
  await using store = state.store
  const { own } = (await openTrustState(store.authorityJournal)).snapshot()
  process.stdout.write(`${encodeBundle(own)}\n`)
  process.stderr.write(
    `made trust domain ${config.trustDomain}; its bundle is on standard output: give it to the agents\n`,
  )
}

const HELP = `
Examples:
  assay init --config assay.yaml --make-sealing-key > bundle.json
  assay server --config assay.yaml`
