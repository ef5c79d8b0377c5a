import { IdentityError } from "../errors.ts"

/** Why bytes were refused; finer than `malformed`, and stable. */
export type X509Reason = (typeof X509_REASONS)[number]

/** The error for bytes that somebody else wrote. */
export function malformed(reason: X509Reason, message: string, cause?: unknown): IdentityError {
  return new IdentityError("malformed", message, { reason, cause })
}

export const X509_REASONS = [
  "der-size",
  "der-truncated",
  "der-tag",
  "der-length",
  "der-trailing",
  "der-depth",
  "der-integer",
  "der-boolean",
  "der-oid",
  "der-bit-string",
  "der-string",
  "der-time",
  "pem",
  "name",
  "key-type",
  "key-curve",
  "key-point",
  "key-encoding",
  "key-size",
  "key-exponent",
  "key-weak",
  "key-blocked",
  "csr-version",
  "csr-attributes",
  "signature-algorithm",
  "signature",
  "certificate-version",
  "serial",
  "extension",
  "validity",
] as const
