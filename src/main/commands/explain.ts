import { text } from "node:stream/consumers"
import { type Command, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { readBounded } from "../../adapters/identity-client/read-bounded.ts"
import { makeJwsVerifier } from "../../adapters/jose/verify-jws.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { makeAttestToken } from "../../app/attest/attest-token.ts"
import { makeExplainToken } from "../../app/rules/explain.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { openClusters } from "../server/clusters.ts"
import { answering } from "./answering.ts"
import { explanationJson, explanationTable } from "./explain-output.ts"
import { stderrLog } from "./stderr-log.ts"

interface ExplainOptions {
  readonly config: string
  readonly token: string
  readonly output: "json" | "table"
}

/** `assay explain`: which identities a token gets, and why; exits 0 granted, 1 refused, 2 not attested. @see RUL-13 CLI-10 */
export function registerExplain(program: Command): void {
  program
    .command("explain")
    .description("show which identities a token gets by this configuration, and why; nothing is issued")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .requiredOption("-t, --token <file>", "file with the service-account token, or - for standard input")
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["table", "json"]).default("table"))
    .addHelpText("after", HELP)
    .action(answering(explain))
}

async function explain(options: ExplainOptions): Promise<number> {
  const { compile } = makeCelConditions()
  const config = await loadServerConfig(options.config, compile)
  const token = await readToken(options.token)
  const deps = { verifier: makeJwsVerifier(), clock: systemClock, log: stderrLog }
  const clusters = await openClusters(config.clusters, deps)
  const attest = makeAttestToken({
    clock: systemClock,
    clusters: () => clusters,
    telemetry: { attested: () => {}, refused: () => {}, reviewed: () => {} },
    // What the log says of earlier SVIDs is the server's to know; here each token counts as a new identity.
    liveSvid: () => Promise.resolve(false),
  })
  const explanation = await makeExplainToken({ attest, rules: () => config.rules })(token, AbortSignal.timeout(TIMEOUT))
  process.stdout.write(options.output === "json" ? explanationJson(explanation) : explanationTable(explanation))
  if (explanation.kind === "not-attested") return 2
  return explanation.decision.kind === "granted" ? 0 : 1
}

async function readToken(file: string): Promise<string> {
  const named = file === "-" ? "the token from standard input" : `token file ${file}`
  const token = (file === "-" ? await text(process.stdin) : await readBounded(file, MAX_FILE, named)).trim()
  if (token === "") throw new UsageError(`${named} is empty`)
  return token
}

const TIMEOUT = 30_000
const MAX_FILE = 64 * 1024
const HELP = `
Exit code: 0 an identity is granted, 1 refused, 2 the token could not be attested, 64 usage, 66 no answer:
a file cannot be read, or the configuration is invalid.

Examples:
  kubectl create token web -n shop --audience assay --bound-object-kind Pod --bound-object-name web-0 |
    assay explain --config assay.yaml --token -
  assay explain --config assay.yaml --token /var/run/secrets/tokens/assay -o json`
