import type { CertificateView } from "../x509/certificate.ts"

/**
 * In what a new root differs from the old one where it must not, and is equal where it must differ; empty for nothing. Sentences for
 * the operator. @see RINV-08 RINV-09
 */
export function rootProfileFaults(old: CertificateView, next: CertificateView): readonly string[] {
  const faults: string[] = []
  if (same(old.subject, next.subject)) faults.push("both roots have one name")
  if (same(old.subjectKeyId, next.subjectKeyId) || same(old.spki, next.spki)) faults.push("both roots have one key")
  if (!same(next.subject, next.issuer)) faults.push("the new root is not self-signed")
  if (next.pathLength !== undefined && next.pathLength !== old.pathLength)
    faults.push("the roots differ in path length")
  const wanted = profileOf(old)
  for (const [name, value] of Object.entries(profileOf(next))) {
    if (wanted[name] !== value) faults.push(`the roots differ in ${name}`)
  }
  return faults
}

function same(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  return left !== undefined && right !== undefined && Buffer.compare(left, right) === 0
}

/** What two roots of a trust domain have in common. A bound of the path is not in it: roots of earlier versions have one, and it may go. */
function profileOf(root: CertificateView): Readonly<Record<string, string>> {
  const { isCa, keyUsage, extKeyUsage, uriNames, dnsNames, extensions } = root
  return {
    "basic constraints": String(isCa),
    "key usage": [...(keyUsage ?? [])].sort().join(),
    "extended key usage": (extKeyUsage ?? []).join(),
    names: [...uriNames, ...dnsNames].join(),
    extensions: extensions.map(({ oid, critical }) => `${oid}${critical}`).join(),
  }
}
