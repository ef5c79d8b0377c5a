import { type Command, Option } from "commander"
import { printKubeConfig } from "./oidc-kube-config.ts"
import { publishOnce } from "./oidc-publish.ts"

/** `assay oidc …`: what relying parties need to trust the issuer. @see KAS-05 PUB-07 */
export function registerOidc(program: Command): void {
  const oidc = program
    .command("oidc")
    .description("what relying parties need to trust the issuer")
    .addHelpText("after", HELP)
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
    .action(printKubeConfig)
  oidc
    .command("publish")
    .description("write discovery and keys as they are now, for those who serve them from a bucket")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .option("--directory <folder>", "where to; it must be there. Default: everything under oauth.publish")
    .addHelpText("after", PUBLISH_HELP)
    .action(publishOnce)
}

const HELP = `
Both commands read configuration and store; the server may run.`
const KUBE_HELP = `
A user's name is the SPIFFE ID; groups are the ID of the trust domain, and <trust domain>/ns/<namespace> for IDs that begin so.
Tokens that are bound to a key are refused, as the API server asks for no proof. By default the API server verifies the issuer's
address by the trust domain's own roots, or by those of its machine when serving.certificate_file is given: print the file again
after the root was rotated.

kube-apiserver reads the file again when it changes. It reads the keys again when a token names one that it does not know, at most
every five minutes, and until then takes tokens of a key that was revoked. In an emergency, change a comment in the file.

Example:
  assay oidc kube-config -c assay.yaml --audience https://kubernetes.prod.example > authentication.yaml
  kube-apiserver --authentication-config=authentication.yaml ...`
const PUBLISH_HELP = `
A server with oauth.publish does this by itself at each change of its keys; once is enough only until the next one. Relying parties
must see a key before it signs: jwt.publish_ahead has to be longer than it takes from the folder to their caches.

Example:
  assay oidc publish -c assay.yaml --directory public && aws s3 sync public s3://issuer.prod.example`
