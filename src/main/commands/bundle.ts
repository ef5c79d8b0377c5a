import { type Command, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { encodeBundle, encodeJwtBundle } from "../../core/spiffe/bundle-document.ts"
import { encodePem } from "../../core/x509/pem.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { storedBundle } from "../server/stored-bundle.ts"

interface ShowOptions {
  readonly config: string
  readonly output: keyof typeof FORMS
}

/** `assay bundle`: what others are to trust. @see CFG-20 */
export function registerBundle(program: Command): void {
  program
    .command("bundle")
    .description("the trust domain's own bundle")
    .command("show")
    .description("print the bundle that the store holds now")
    .requiredOption("-c, --config <file>", "configuration of the server, which may be running")
    .addOption(new Option("-o, --output <form>", "form of the output").choices(Object.keys(FORMS)).default("pem"))
    .addHelpText("after", HELP)
    .action(show)
}

async function show({ config: file, output }: ShowOptions): Promise<void> {
  const config = await loadServerConfig(file, makeCelConditions().compile)
  process.stdout.write(FORMS[output](storedBundle(config)))
}

/** Each ends with a newline. */
const FORMS = {
  pem: ({ x509Authorities }: TrustBundle) => x509Authorities.map((der) => encodePem("CERTIFICATE", der)).join(""),
  spiffe: (bundle: TrustBundle) => `${encodeBundle(bundle)}\n`,
  jwks: (bundle: TrustBundle) => `${encodeJwtBundle(bundle)}\n`,
}
const HELP = `
Forms:
  pem     the X.509 roots, for programs that read PEM, such as Envoy or an agent
  spiffe  the SPIFFE bundle document: X.509 roots and JWT keys, for agents and federated trust domains
  jwks    the JWT keys alone, for what verifies JWT-SVIDs

Examples:
  assay bundle show -c assay.yaml > bundle.pem
  assay bundle show -c assay.yaml -o spiffe > bundle.json`
