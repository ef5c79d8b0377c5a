import type { LoggedIssuance } from "../../ports/issuance-log.ts"
import { columns } from "./columns.ts"

/** One JSON array; times are ISO 8601. What was signed is there as base64, a token never is. */
export function issuanceJson(found: readonly LoggedIssuance[]): string {
  return `${JSON.stringify(found.map(recordOf), undefined, 2)}\n`
}

/** One line for each issuance. */
export function issuanceTable(found: readonly LoggedIssuance[]): string {
  if (found.length === 0) return "nothing was issued that matches\n"
  const rows = found.map(({ intent, signature }) => {
    const { cluster, namespace, serviceAccount, pod } = intent.requester
    const caller = `${cluster}/${namespace}/${serviceAccount}${pod === "" ? "" : `/${pod}`}`
    // The server's own certificate was asked for by no cluster.
    const requester = cluster === "" ? "the server itself" : caller
    const outcome = signature === undefined ? "unknown" : "issued"
    return [
      iso(intent.createdAt),
      intent.kind,
      outcome,
      intent.serial,
      intent.spiffeId,
      iso(intent.notAfter),
      requester,
    ]
  })
  const head = ["ISSUED", "KIND", "OUTCOME", "SERIAL", "IDENTITY", "EXPIRES", "REQUESTER"]
  return `${columns([head, ...rows]).join("\n")}\n`
}

function recordOf({ intent, signature }: LoggedIssuance) {
  const { evidenceDigest, ...requester } = intent.requester
  return {
    serial: intent.serial,
    kind: intent.kind,
    outcome: signature === undefined ? "unknown" : "issued",
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

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000", "")
}
