import { dirname } from "node:path"
import type { Command } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { makeSealingKeyFile } from "../../adapters/disk-keys/sealing-key.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { makeSystemRandom } from "../../adapters/system/random.ts"
import { toIdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import { encodeBundle } from "../../core/spiffe/bundle-document.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { makePrivateFolder } from "../server/private-folder.ts"
import { readSealingKey } from "../server/read-sealing-key.ts"
import { initServerState } from "../server/state.ts"
import { storedBundle } from "../server/stored-bundle.ts"

interface InitOptions {
  readonly config: string
  readonly makeSealingKey?: true
}

/** `assay init`: make the trust domain. @see CFG-18 CFG-19 */
export function registerInit(program: Command): void {
  program
    .command("init")
    .description("make the trust domain: the store, the root key, the first bundle")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .option("--make-sealing-key", "make keys.sealing_key_file when it is not there; one that is there is kept")
    .addHelpText("after", HELP)
    .action(init)
}

async function init(options: InitOptions): Promise<void> {
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  // What can be wrong without anything made is found first; a new key is made only when there is no trust domain yet.
  const makesIt = options.makeSealingKey === true && config.keys.sealingKeyFile !== undefined
  const given = makesIt ? undefined : await readSealingKey(config, process.env)
  const sealingKey = async () => given ?? (await makeAndReadSealingKey(config))
  await initServerState(config, sealingKey, systemClock, makeSystemRandom())
  process.stdout.write(`${encodeBundle(storedBundle(config))}\n`)
  process.stderr.write(
    `made trust domain ${config.trustDomain}; its bundle is on standard output: give it to the agents\n`,
  )
}

/** One that is there is kept. */
async function makeAndReadSealingKey(config: ServerConfig): Promise<Secret> {
  const { sealingKeyFile } = config.keys
  if (sealingKeyFile !== undefined) {
    await makePrivateFolder(dirname(sealingKeyFile), "keys.sealing_key_file")
    await makeSealingKeyFile(sealingKeyFile).catch(unlessThere)
  }
  return readSealingKey(config, process.env)
}

function unlessThere(thrown: unknown): void {
  if (toIdentityError(thrown).code !== "already-exists") throw thrown
}

const HELP = `
Folders that are missing are made, for this user alone. After a failure, run it again: it goes on from what is there.

Examples:
  assay init --config assay.yaml --make-sealing-key > bundle.json
  assay server --config assay.yaml`
