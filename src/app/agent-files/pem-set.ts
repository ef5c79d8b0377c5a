import { parseSpiffeId, trustDomainOf } from "../../core/spiffe/id.ts"
import { encodePem } from "../../core/x509/pem.ts"
import type { FileContent } from "../../ports/file-set.ts"
import type { X509Material } from "../../ports/workload-api.ts"

/** The default identity, as the files that programs read. @see CLI-04 */
export function encodePemSet({ svids, federated }: X509Material): ReadonlyMap<string, FileContent> {
  const [svid] = svids
  if (svid === undefined) throw new RangeError("X.509 material without an SVID")
  const files = new Map<string, FileContent>([
    ["svid.pem", { content: certificates(svid.chain), secret: false }],
    ["svid_key.pem", { content: svid.key.expose((der) => encodePem("PRIVATE KEY", der)), secret: true }],
    ["bundle.pem", { content: certificates(svid.bundle), secret: false }],
  ])
  for (const [id, bundle] of federated) {
    const name = `bundle.${trustDomainOf(parseSpiffeId(id))}.pem`
    files.set(name, { content: certificates(bundle), secret: false })
  }
  return files
}

function certificates(list: readonly Uint8Array[]): string {
  return list.map((der) => encodePem("CERTIFICATE", der)).join("")
}
