import { IdentityError } from "../../core/errors.ts"
import type { AdminServer } from "./open-admin-client.ts"

/** Why a server cannot be reached, with what to do. */
export function unreachable(server: AdminServer, cause: Error): IdentityError {
  const code = "code" in cause ? String(cause.code) : ""
  const where = server.kind === "socket" ? server.path : server.url.origin
  if (server.kind === "socket" && (code === "EACCES" || code === "EPERM")) {
    return new IdentityError("policy-denied", `you may not connect to ${where}`, {
      cause,
      reason: "admin-socket-forbidden",
      next: "run it as root or as the user of assay server; or set admin.socket_mode and give this user a role in admin.roles",
    })
  }
  if (server.kind === "https" && isUntrusted(cause, code)) {
    return new IdentityError(
      "not-ready",
      `what answers at ${where} is not trusted (${code === "" ? cause.message : code})`,
      {
        cause,
        reason: "admin-untrusted",
        next: "name its roots by --ca (assay bundle show prints them there), and check the address",
      },
    )
  }
  const next =
    server.kind === "socket"
      ? "start assay server, or name its socket: -c with its configuration, or --admin-socket"
      : "check the address, and that a server with listen.admin runs there"
  const why = code === "" ? cause.message : code
  return new IdentityError("not-ready", `no server answers at ${where} (${why})`, {
    cause,
    reason: "admin-unreachable",
    next,
  })
}

/** OpenSSL's word on a chain, or ours on the name in it. */
function isUntrusted(cause: Error, code: string): boolean {
  return (
    /^(?:[A-Z_]*(?:CERT|LEAF_SIGNATURE)[A-Z_]*|ERR_TLS_CERT_ALTNAME_INVALID|INVALID_CA|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)$/.test(
      code,
    ) || cause.message.startsWith("the certificate is that of")
  )
}
