import { readFile } from "node:fs/promises"
import { type Command, Option } from "commander"
import { stringify } from "yaml"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { IdentityError } from "../../core/errors.ts"
import type { JsonObject } from "../../core/json.ts"
import { kubeAuthentication } from "../../core/oauth/kube-authentication.ts"
import { endpointOf } from "../../core/oauth/metadata.ts"
import { rightsTo, svidRulesTo } from "../../core/rules/token-rights.ts"
import { encodePem } from "../../core/x509/pem.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { httpsUrl } from "../config/values.ts"
import { storedBundle } from "../server/stored-bundle.ts"

/** `assay oidc …`: what relying parties need to trust the issuer. @see KAS-01 */
export function registerOidc(program: Command): void {
  const oidc = program.command("oidc").description("what relying parties need to trust the issuer")
  oidc
    .command("kube-config")
    .description("print the AuthenticationConfiguration with which a kube-apiserver takes tokens of the issuer")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .requiredOption("--audience <audience...>", "what tokens for the API server are for")
    .option("--discovery-url <url>", "where the API server finds discovery, when not at the issuer's address")
    .option("--ca-file <file>", "PEM roots by which it verifies that address; default: see below")
    .option("--system-ca", "let it verify that address by the roots of its machine")
    .addOption(new Option("-o, --output <form>", "form of the output").choices(["yaml", "json"]).default("yaml"))
    .addHelpText("after", KUBE_HELP)
    .action(kubeConfig)
}

interface KubeOptions {
  readonly config: string
  readonly audience: readonly string[]
  readonly discoveryUrl?: string
  readonly caFile?: string
  readonly systemCa?: true
  readonly output: "yaml" | "json"
}

async function kubeConfig(options: KubeOptions): Promise<void> {
  const { audience: audiences } = options
  if (options.caFile !== undefined && options.systemCa === true) {
    throw new UsageError("--ca-file and --system-ca exclude each other")
  }
  if (new Set(audiences).size !== audiences.length) throw new UsageError("an audience is named twice")
  const config = await loadServerConfig(options.config, makeCelConditions().compile)
  const issuer = issuerOf(config)
  const discoveryUrl = discoveryOf(options, issuer)
  const certificateAuthority = await rootsFor(options, config)
  const document = kubeAuthentication({ ...config, issuer, audiences, discoveryUrl, certificateAuthority })
  for (const audience of audiences) warnOfNobody(audience, config)
  process.stdout.write(options.output === "json" ? `${JSON.stringify(document)}\n` : renderYaml(document))
}

/** @throws IdentityError `not-found`, reason `no-issuer` */
export function issuerOf({ oauth, jwt }: ServerConfig): string {
  const issuer = oauth?.issuer ?? jwt.issuer
  if (issuer !== undefined) return issuer
  throw new IdentityError("not-found", "the configuration names no oauth.issuer", { reason: "no-issuer" })
}

/** `undefined` for the document at the issuer's own address, which needs no saying. */
function discoveryOf({ discoveryUrl: url }: KubeOptions, issuer: string): string | undefined {
  if (url === undefined) return undefined
  const own = issuer.replace(/\/$/, "")
  if (!httpsUrl().safeParse(url).success || url.replace(/\/$/, "") === own) {
    throw new UsageError("--discovery-url must be the https URL of the document itself")
  }
  return url === endpointOf(issuer, "/.well-known/openid-configuration") ? undefined : url
}

/** PEM of what discovery is verified by: as asked for, else as it is served. */
async function rootsFor(options: KubeOptions, config: ServerConfig): Promise<string | undefined> {
  if (options.caFile !== undefined) return readFile(options.caFile, "utf8")
  if (options.systemCa === true || config.serving.kind === "files") return undefined
  return storedBundle(config)
    .x509Authorities.map((der) => encodePem("CERTIFICATE", der))
    .join("")
}

function warnOfNobody(audience: string, { rules }: ServerConfig): void {
  if (rightsTo(audience, rules).length + svidRulesTo(audience, rules).length > 0) return
  process.stderr.write(`warning: no rule gives anybody a token for "${audience}"; see assay policy who-can\n`)
}

function renderYaml(document: JsonObject): string {
  return `${KUBE_HEAD}${stringify(document, { lineWidth: 0, blockQuote: "literal" })}`
}

const KUBE_HEAD = `# For kube-apiserver --authentication-config. Where there is such a file already, add the entry of jwt to it.
`
const KUBE_HELP = `
A user's name is the SPIFFE ID; groups are the ID of the trust domain, and <trust domain>/ns/<namespace> for IDs that begin so.
Tokens that are bound to a key are refused, as the API server asks for no proof. The command reads configuration and store;
the server may run. By default the API server verifies the issuer's address by the trust domain's own roots, or by those of its
machine when serving.certificate_file is given: print the file again after the root was rotated.

kube-apiserver reads the file again when it changes. It reads the keys again when a token names one that it does not know, at most
every five minutes, and until then takes tokens of a key that was revoked. In an emergency, change a comment in the file.

Example:
  assay oidc kube-config -c assay.yaml --audience https://kubernetes.prod.example > authentication.yaml
  kube-apiserver --authentication-config=authentication.yaml ...`
