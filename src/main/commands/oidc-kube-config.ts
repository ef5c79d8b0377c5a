import { stringify } from "yaml"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { readBounded } from "../../adapters/identity-client/read-bounded.ts"
import { parseContent } from "../../core/file-trouble.ts"
import type { JsonObject } from "../../core/json.ts"
import { kubeAuthentication } from "../../core/oauth/kube-authentication.ts"
import { endpointOf } from "../../core/oauth/metadata.ts"
import { rightsTo, svidRulesTo } from "../../core/rules/token-rights.ts"
import { MAX_AUTHORITIES } from "../../core/spiffe/bundle-bounds.ts"
import { encodePem, parsePem } from "../../core/x509/pem.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { httpsUrl } from "../config/values.ts"
import { storedBundle } from "../server/stored-bundle.ts"
import { noIssuer } from "./no-issuer.ts"

interface KubeOptions {
  readonly config: string
  readonly audience: readonly string[]
  readonly discoveryUrl?: string
  readonly caFile?: string
  readonly systemCa?: true
  readonly output: "yaml" | "json"
}

/** `assay oidc kube-config` @see KAS-01 KAS-05 KAS-06 */
export async function printKubeConfig(options: KubeOptions): Promise<void> {
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
  if (isOwnAnchor(options, config)) warnOfName(discoveryUrl ?? issuer, config)
  process.stdout.write(options.output === "json" ? `${JSON.stringify(document)}\n` : renderYaml(document))
}

function issuerOf({ oauth, jwt }: ServerConfig): string {
  const issuer = oauth?.issuer ?? jwt.issuer
  if (issuer === undefined) throw noIssuer()
  return issuer
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
  if (options.caFile !== undefined) return readCaFile(options.caFile)
  if (!isOwnAnchor(options, config)) return undefined
  return storedBundle(config)
    .x509Authorities.map((der) => encodePem("CERTIFICATE", der))
    .join("")
}

/** As it stands, once it is known to be what kube-apiserver reads. */
async function readCaFile(file: string): Promise<string> {
  const pem = await readBounded(file, MAX_PEM, `CA file ${file}`)
  const next = "name a file with the PEM certificates of the CAs that the issuer's certificate is verified by"
  parseContent(`CA file ${file}`, next, () =>
    parsePem(pem, "CERTIFICATE", { maxLength: MAX_PEM, maxBlocks: MAX_AUTHORITIES }),
  )
  return pem
}

/** Assay issues the certificate of its listeners to itself, and nothing says that another one is shown. */
function isOwnAnchor({ caFile, systemCa }: KubeOptions, { serving }: ServerConfig): boolean {
  return caFile === undefined && systemCa !== true && serving.kind === "own"
}

function warnOfName(url: string, { serving }: ServerConfig): void {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "")
  if (serving.kind !== "own" || [...serving.dnsNames, ...serving.ipAddresses].includes(host)) return
  process.stderr.write(
    `warning: "${host}" is not under serving; say --ca-file or --system-ca if another one serves it\n`,
  )
}

function warnOfNobody(audience: string, { rules }: ServerConfig): void {
  if (rightsTo(audience, rules).length + svidRulesTo(audience, rules).length > 0) return
  process.stderr.write(`warning: no rule gives anybody a token for "${audience}"; see assay policy who-can\n`)
}

function renderYaml(document: JsonObject): string {
  return `${KUBE_HEAD}${stringify(document, { lineWidth: 0, blockQuote: "literal" })}`
}

const MAX_PEM = 1024 * 1024
const KUBE_HEAD = `# For kube-apiserver --authentication-config. Where there is such a file already, add the entry of jwt to it.
`
