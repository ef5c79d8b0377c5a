import { mkdtempDisposable, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Bootstrap } from "../../src/adapters/identity-client/bootstrap.ts"
import {
  type IdentityClientSettings,
  openIdentityClient,
} from "../../src/adapters/identity-client/open-identity-client.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { Clock } from "../../src/ports/clock.ts"
import type { IdentityAuthority } from "../../src/ports/identity-authority.ts"
import type { Log, LogFields } from "../../src/ports/telemetry.ts"
import type { TestCa } from "./test-ca.ts"

export const SERVER = "spiffe://example.org/assay/server"
export const ORDER = { spiffeId: parseSpiffeId("spiffe://example.org/a"), audience: ["db"] }
export const never = new AbortController().signal

export type ClientOptions = Partial<Pick<IdentityClientSettings, "bootstrap" | "timeout">> & {
  /** Default `spiffe-id`. */
  readonly knownBy?: IdentityClientSettings["endpoint"]["knownBy"]
  /** Default 127.0.0.1. */
  readonly host?: string
  readonly clock?: Clock
}

/** The files that an identity client reads, with a token in one and a CA's root in the other, and clients on them. */
export interface ClientSetup extends AsyncDisposable {
  readonly folder: string
  readonly tokenFile: string
  readonly bundleFile: string
  /** Records of `warn`, over all clients. */
  readonly warnings: readonly { readonly fields: LogFields; readonly message: string }[]
  trust(ca: TestCa): Promise<void>
  open(port: number, options?: ClientOptions): IdentityAuthority & AsyncDisposable
}

export async function setUpClient(ca: TestCa): Promise<ClientSetup> {
  const folder = await mkdtempDisposable(join(tmpdir(), "assay-client-"))
  const tokenFile = join(folder.path, "token")
  const bundleFile = join(folder.path, "bundle.pem")
  const warnings: { fields: LogFields; message: string }[] = []
  const log: Log = {
    debug() {},
    info() {},
    warn: (fields, message) => warnings.push({ fields, message }),
    error() {},
  }
  const trust = (trusted: TestCa) => writeFile(bundleFile, encodePem("CERTIFICATE", trusted.root.certificate.der))
  await writeFile(tokenFile, "token-1\n")
  await trust(ca)
  const open: ClientSetup["open"] = (port, options = {}) => {
    const bootstrap: Bootstrap = options.bootstrap ?? { kind: "bundle-file", file: bundleFile }
    const { knownBy = "spiffe-id", host = "127.0.0.1", timeout = 5000, clock = systemClock } = options
    return openIdentityClient(
      {
        endpoint: { host, port, trustDomain: ca.trustDomain, knownBy },
        bootstrap,
        tokenFile,
        timeout,
        agent: { name: "test", version: "0" },
      },
      { clock, log },
    )
  }
  const remove = () => folder.remove()
  return { folder: folder.path, tokenFile, bundleFile, warnings, trust, open, [Symbol.asyncDispose]: remove }
}
