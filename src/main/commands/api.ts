import { text } from "node:stream/consumers"
import type { Command } from "commander"
import { makeVersionName } from "../../adapters/pem-files/version-name.ts"
import { openVersionedDirectory } from "../../adapters/pem-files/versioned-directory.ts"
import { encodePemSet } from "../../app/agent-files/pem-set.ts"
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/id.ts"
import type { WorkloadApi, X509Material } from "../../ports/workload-api.ts"
import { argument } from "../command-failure.ts"
import { bundlesOutput, jwtOutput, type Output, validOutput, x509Output } from "./api-output.ts"
import { askWorkloadApi, type OutputOptions, runWithWorkloadApi, withOutput } from "./workload-command.ts"

/** `assay api …`: ask the Workload API as a workload would. */
export function registerApi(program: Command): void {
  const api = program.command("api").description("ask the Workload API as a workload would")
  const fetch = api.command("fetch").description("fetch what this workload holds")
  withOutput(fetch.command("x509"))
    .description("fetch X.509-SVIDs and their bundles")
    .option("--write <directory>", "also write the default identity as PEM files")
    .action(fetchX509)
  withOutput(fetch.command("jwt"))
    .description("fetch JWT-SVIDs")
    .requiredOption("--audience <audience...>", "who the token is for")
    .option("--spiffe-id <id>", "for this identity only", argument(parseSpiffeId))
    .action(fetchJwt)
  withOutput(fetch.command("bundles")).description("fetch the bundles to verify others with").action(fetchBundles)
  withOutput(api.command("watch")).description("print X.509-SVIDs at each change, until stopped").action(watch)
  withOutput(api.command("validate").description("validate a peer's token").command("jwt"))
    .description("validate a JWT-SVID")
    .requiredOption("--audience <audience>", "the audience this workload answers to")
    .requiredOption("--svid <token>", "the token, or - for standard input")
    .action(validateJwt)
}

function fetchX509(options: OutputOptions & { readonly write?: string }): Promise<void> {
  return askWorkloadApi(options, async (api, signal) => {
    const material = await firstOf(api.watchX509(signal))
    if (material === undefined) return
    if (options.write !== undefined) {
      await openVersionedDirectory(options.write, makeVersionName).publish(encodePemSet(material))
    }
    print(x509Output(material), options)
  })
}

function fetchJwt(
  options: OutputOptions & { readonly audience: readonly string[]; readonly spiffeId?: SpiffeId },
): Promise<void> {
  return askWorkloadApi(options, async (api, signal) => {
    print(jwtOutput(await api.fetchJwt(options.audience, options.spiffeId, signal)), options)
  })
}

function fetchBundles(options: OutputOptions): Promise<void> {
  return askWorkloadApi(options, async (api, signal) => {
    const [x509, jwt] = await Promise.all([firstOf(api.watchX509(signal)), firstOf(api.watchJwtBundles(signal))])
    if (x509 !== undefined && jwt !== undefined) print(bundlesOutput(x509, jwt), options)
  })
}

function watch(options: OutputOptions): Promise<void> {
  return runWithWorkloadApi(options, async (api: WorkloadApi, signal) => {
    for await (const material of api.watchX509(signal)) print(x509Output(material), options)
  })
}

function validateJwt(options: OutputOptions & { readonly audience: string; readonly svid: string }): Promise<void> {
  return askWorkloadApi(options, async (api, signal) => {
    const token = options.svid === "-" ? (await text(process.stdin)).trim() : options.svid
    print(validOutput(await api.validateJwt(options.audience, token, signal)), options)
  })
}

/** `undefined` when the watch was stopped before anything came. */
async function firstOf<Value extends X509Material | ReadonlyMap<string, string>>(
  values: AsyncIterable<Value>,
): Promise<Value | undefined> {
  for await (const value of values) return value
  return undefined
}

function print(output: Output, { output: form }: OutputOptions): void {
  process.stdout.write(form === "json" ? `${JSON.stringify(output.json)}\n` : `${output.table}\n`)
}
