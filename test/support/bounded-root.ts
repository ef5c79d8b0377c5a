import { rootId } from "../../src/app/authority/root-id.ts"
import type { TrustState } from "../../src/app/authority/trust-state.ts"
import { assembleCertificate } from "../../src/core/x509/assemble.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { encodeDer, encodeSequence, TAG } from "../../src/core/x509/der.ts"
import { DerReader } from "../../src/core/x509/der-reader.ts"
import { encodeAuthorityConstraints } from "../../src/core/x509/extensions.ts"
import type { KeyStore } from "../../src/ports/keys.ts"

/** Have the root that signs be as earlier versions made it: with one level of authorities below it, of the same key and name. */
export async function boundActiveRoot(trust: TrustState, keys: Pick<KeyStore, "open">): Promise<void> {
  const root = trust.record().roots.find(({ state }) => state === "active")
  if (root === undefined) throw new TypeError("no root signs")
  const signer = await keys.open(root.keyId)
  const tbs = bounded(parseCertificate(root.certificate).tbs)
  const certificate = assembleCertificate(tbs, await signer.sign(tbs, "der"))
  if (rootId({ certificate }) !== rootId(root)) throw new TypeError("another root")
  const roots = trust.record().roots.map((one) => (one === root ? { ...root, certificate } : one))
  await trust.update((record) => ({ ...record, roots, epoch: record.epoch + 1 }))
}

/** TBSCertificate of a root with a bound for one without. */
export function bounded(tbs: Uint8Array, pathLength = 1): Uint8Array {
  const unbounded = Buffer.from(encodeAuthorityConstraints(undefined))
  const change = (one: Uint8Array) => (unbounded.equals(one) ? encodeAuthorityConstraints(pathLength) : one)
  return withExtensions(tbs, (extensions) => extensions.map(change))
}

/** TBSCertificate with other extensions, each as DER. */
export function withExtensions(
  tbs: Uint8Array,
  change: (extensions: readonly Uint8Array[]) => readonly Uint8Array[],
): Uint8Array {
  const fields = elements(new DerReader(tbs).enter(TAG.sequence))
  const extensions = elements(new DerReader(fields.at(-1) ?? tbs).enter(EXTENSIONS).enter(TAG.sequence))
  return encodeSequence(...fields.slice(0, -1), encodeDer(EXTENSIONS, encodeSequence(...change(extensions))))
}

function elements(reader: DerReader): readonly Uint8Array[] {
  const found: Uint8Array[] = []
  while (!reader.done) found.push(reader.element())
  return found
}

const EXTENSIONS = 0xa3
