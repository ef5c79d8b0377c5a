import { parseCertificate } from "../../core/x509/certificate.ts"
import type { RootRecord } from "../../ports/authority-journal.ts"

/** What a root is called in rotations, evidence and audit: its subject key identifier, in hex. */
export function rootId({ certificate }: Pick<RootRecord, "certificate">): string {
  return Buffer.from(parseCertificate(certificate).subjectKeyId ?? []).toString("hex")
}
