import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { encodePem } from "../../src/core/x509/pem.ts"
import { Child } from "../support/peers/child.ts"
import { makeTestCa } from "../support/test-ca.ts"

/** `oidc-provider` in a process of its own. */
export interface OidcProvider extends AsyncDisposable {
  readonly tokenEndpoint: string
  /** PEM of what its certificate is verified by. */
  readonly ca: string
  /** A form that it answers with a token. */
  readonly form: string
}

/** Start the provider over HTTPS on a free port, and wait until it listens. */
export async function startOidcProvider(folder: string): Promise<OidcProvider> {
  await using stack = new AsyncDisposableStack()
  const ca = makeTestCa()
  const leaf = ca.issueLeaf("spiffe://example.org/provider", { dnsNames: ["localhost"] })
  const files = { cert: join(folder, "provider.crt"), key: join(folder, "provider.key") }
  await writeFile(files.cert, leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join(""))
  await writeFile(files.key, encodePem("PRIVATE KEY", leaf.pkcs8))
  const child = stack.use(
    new Child({
      name: "oidc-provider",
      command: process.execPath,
      args: [PROGRAM, files.cert, files.key],
      log: join(folder, "provider.log"),
      env: { NODE_ENV: "production" },
    }),
  )
  const port = await child.until("listening", async () => /listens on (\d+)/.exec(child.logTail())?.[1], 30_000)
  const moved = stack.move()
  return {
    tokenEndpoint: `https://127.0.0.1:${port}/token`,
    ca: encodePem("CERTIFICATE", ca.root.certificate.der),
    form: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: "bench",
      client_secret: "bench-secret",
      scope: "read",
      resource: "https://api.bench.example",
    }).toString(),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

const PROGRAM = join(import.meta.dirname, "oidc-provider-server.ts")
