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
  const next =
    server.kind === "socket"
      ? "start assay server, or name its socket: -c with its configuration, or --admin-socket"
      : "check the address, that the server runs, and the roots that it is verified by"
  const why = code === "" ? cause.message : code
  return new IdentityError("not-ready", `no server answers at ${where} (${why})`, {
    cause,
    reason: "admin-unreachable",
    next,
  })
}
