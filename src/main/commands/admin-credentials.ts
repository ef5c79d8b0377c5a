import { X509Certificate } from "node:crypto"
import { join } from "node:path"
import { createSecureContext } from "node:tls"
import { readBounded, unreadable } from "../../adapters/identity-client/read-bounded.ts"
import { readToken } from "../../adapters/identity-client/read-token.ts"
import { openWorkloadClient } from "../../adapters/workload-client/workload-client.ts"
import { encodePemSet } from "../../app/agent-files/pem-set.ts"
import { IdentityError } from "../../core/errors.ts"
import { parseContent } from "../../core/file-trouble.ts"
import { parseJsonObject } from "../../core/json.ts"
import { MAX_AUTHORITIES } from "../../core/spiffe/bundle-bounds.ts"
import { readBundle } from "../../core/spiffe/bundle-document.ts"
import { encodePem, parsePem } from "../../core/x509/pem.ts"
import { UsageError } from "../command-failure.ts"
import { endpointOf } from "./workload-command.ts"

/** How the caller of a remote server is known to it. */
export interface Credentials {
  /** PEM. */
  readonly certificate?: { readonly chain: string; readonly key: string }
  readonly token?: string
  /** PEM of the roots that came with them. */
  readonly roots?: string
}

/** The files that `assay write` keeps. @throws IdentityError `not-ready`, reason `file-unreadable`; `unauthenticated`, reason `svid-expired` */
export async function readCredentials(directory: string): Promise<Credentials> {
  const [chain, key, roots] = await Promise.all(
    ["svid.pem", "svid_key.pem", "bundle.pem"].map((name) => readBounded(join(directory, name), MAX_PEM)),
  )
  if (chain === undefined || key === undefined || roots === undefined) throw new RangeError("three files")
  demandPair(chain, key, directory)
  demandCurrent(chain, directory)
  return { certificate: { chain, key }, roots }
}

/** OpenSSL describes what it read, and that may be a private key: its words are not kept. */
function demandPair(cert: string, key: string, directory: string): void {
  try {
    createSecureContext({ cert, key })
  } catch {
    throw unreadable(`svid.pem and svid_key.pem in ${directory} are no certificate and its key`)
  }
}

/** No server would say which of all that it asks for is not so. */
function demandCurrent(chain: string, directory: string): void {
  const { validToDate } = new X509Certificate(chain)
  if (validToDate.getTime() > Date.now()) return
  throw new IdentityError("unauthenticated", `the SVID in ${directory} expired at ${validToDate.toISOString()}`, {
    reason: "svid-expired",
    next: "look why nobody keeps it current: assay write does while it runs",
  })
}

/** What the Workload API gives this workload. @throws UsageError when nobody says where it is; IdentityError as the API says it */
export async function fetchCredentials(address = process.env["SPIFFE_ENDPOINT_SOCKET"]): Promise<Credentials> {
  if (address === undefined) throw new UsageError("set SPIFFE_ENDPOINT_SOCKET, or --workload-api unix:///path")
  using api = openWorkloadClient(endpointOf(address))
  for await (const material of api.watchX509(AbortSignal.timeout(FETCH_TIMEOUT))) {
    const files = encodePemSet(material)
    const [chain, key, roots] = ["svid.pem", "svid_key.pem", "bundle.pem"].map((name) => files.get(name)?.content)
    return { certificate: { chain: String(chain), key: String(key) }, roots: String(roots) }
  }
  throw new IdentityError("deadline", "the Workload API gave no X.509-SVID in time")
}

/** @throws IdentityError `not-ready`, reason `file-unreadable` */
export async function readTokenFile(file: string): Promise<Credentials> {
  return { token: await readToken(file) }
}

/** PEM of a file with PEM, or with a SPIFFE bundle document. @throws IdentityError `malformed`; `not-ready` */
export async function readRoots(file: string): Promise<string> {
  const text = await readBounded(file, MAX_PEM, `bundle file ${file}`)
  const roots = parseRoots(text, file)
  if (roots.length === 0) throw unreadable(`file ${file} has no certificate`)
  return roots.map((der) => encodePem("CERTIFICATE", der)).join("")
}

function parseRoots(text: string, file: string): readonly Uint8Array[] {
  const next = "name a file with PEM certificates, or a SPIFFE bundle document as assay bundle show prints it"
  return parseContent(`bundle file ${file}`, next, () => {
    if (text.trimStart().startsWith("{")) return readBundle(parseJsonObject(text)).x509Authorities
    return parsePem(text, "CERTIFICATE", { maxLength: MAX_PEM, maxBlocks: MAX_AUTHORITIES })
  })
}

const MAX_PEM = 1024 * 1024
const FETCH_TIMEOUT = 10_000
