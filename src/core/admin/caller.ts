import type { SpiffeId } from "../spiffe/id.ts"

/** Who asks the admin API, proven by the kernel, a certificate or a token. */
export type AdminCaller =
  /** A process on this machine. The pid is for the record only: it may be another process's by now. */
  | { readonly kind: "peer"; readonly uid: number; readonly gid: number; readonly pid: number }
  | { readonly kind: "spiffe"; readonly id: SpiffeId; readonly proof: "x509-svid" | "access-token" | "external-token" }

/** Names a caller in audit records. */
export function callerText(caller: AdminCaller): string {
  switch (caller.kind) {
    case "peer":
      return `unix:uid=${caller.uid},gid=${caller.gid},pid=${caller.pid}`
    case "spiffe":
      return `${caller.proof}:${caller.id}`
    default:
      return caller satisfies never
  }
}

/** The same for every way in which the same person or program can ask; two approvals need two of these. */
export function callerSubject(caller: AdminCaller): string {
  return caller.kind === "peer" ? `unix:uid=${caller.uid}` : caller.id
}
