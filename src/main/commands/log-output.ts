import type { LoggedIssuance } from "../../ports/issuance-log.ts"
import type { ResponseOf } from "../../transports/admin/contract.ts"
import type { issuanceSearch } from "../../transports/admin/issuance-operations.ts"
import { columns } from "./columns.ts"

/** One issuance, as it is printed: times are ISO 8601. */
export interface IssuanceRecord {
  readonly serial: string
  readonly kind: "x509" | "jwt"
  readonly outcome: "issued" | "unknown"
  readonly spiffe_id: string
  readonly issued_at: string
  readonly not_before: string
  readonly not_after: string
  readonly authority: string
  readonly epoch: number
  readonly rule: string
  readonly requester: Requester
  /** What was signed, base64, as the store has it; a token never is. */
  readonly tbs?: string
}

interface Requester {
  readonly cluster: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly pod: string
  readonly podUid: string
  readonly node: string
  /** Of the token that was shown, as the store has it. */
  readonly evidence_sha256?: string
}

/** One line for each issuance. */
export function issuanceTable(found: readonly IssuanceRecord[]): string {
  if (found.length === 0) return "nothing was issued that matches"
  const rows = found.map(({ issued_at: issued, kind, outcome, serial, spiffe_id: id, not_after: end, requester }) => {
    const { cluster, namespace, serviceAccount, pod } = requester
    const caller = `${cluster}/${namespace}/${serviceAccount}${pod === "" ? "" : `/${pod}`}`
    // The server's own certificate was asked for by no cluster.
    return [issued, kind, outcome, serial, id, end, cluster === "" ? "the server itself" : caller]
  })
  return columns([["ISSUED", "KIND", "OUTCOME", "SERIAL", "IDENTITY", "EXPIRES", "REQUESTER"], ...rows]).join("\n")
}

/** As the store has it. */
export function recordOfLogged({ intent, signature }: LoggedIssuance): IssuanceRecord {
  const { evidenceDigest, ...requester } = intent.requester
  const outcome = signature === undefined ? "unknown" : "issued"
  return {
    serial: intent.serial,
    kind: intent.kind,
    outcome,
    spiffe_id: intent.spiffeId,
    issued_at: iso(intent.createdAt),
    not_before: iso(intent.notBefore),
    not_after: iso(intent.notAfter),
    authority: intent.authorityId,
    epoch: intent.epoch,
    rule: intent.rule,
    requester: { ...requester, evidence_sha256: Buffer.from(evidenceDigest).toString("hex") },
    tbs: Buffer.from(intent.tbs).toString("base64"),
  }
}

/** As a server answers. */
export function recordOfReply(reply: ResponseOf<typeof issuanceSearch>["issuances"][number]): IssuanceRecord {
  const { issued_at: issued, not_before: begin, not_after: end, requester } = reply
  const { service_account: serviceAccount, pod_uid: podUid, ...same } = requester
  const times = { issued_at: iso(issued), not_before: iso(begin), not_after: iso(end) }
  return { ...reply, ...times, requester: { ...same, podUid, serviceAccount } }
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000", "")
}
