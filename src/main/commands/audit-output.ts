import type { AuditRecord } from "../../core/audit/record.ts"
import type { BreakKind, ChainBreak, WalkReport } from "../../core/audit/walk.ts"
import { columns } from "./columns.ts"

export interface VerifyResult {
  readonly broken: ChainBreak | undefined
  readonly report: WalkReport
  /** Whether seals were checked. */
  readonly keyed: boolean
}

export function verifyJson({ broken, report, keyed }: VerifyResult): string {
  const { head, unsealedFor, sealedUpTo, ...counts } = report
  const result = {
    whole: broken === undefined,
    ...(broken === undefined ? {} : { broken: { ...broken, meaning: MEANINGS[broken.kind] } }),
    ...counts,
    newest: head,
    sealed: keyed ? { up_to: sealedUpTo, unsealed_seconds: unsealedFor } : "unknown",
  }
  return `${JSON.stringify(result, undefined, 2)}\n`
}

export function verifyText({ broken, report, keyed }: VerifyResult): string {
  const { records, unchained, head, sealedUpTo } = report
  const older = unchained === 0 ? "" : `, of which ${unchained} are older than the chain and sealed by its start`
  const seals = keyed ? `sealed up to record ${sealedUpTo}` : "seals were not checked: there is no sealing key here"
  const found =
    broken === undefined
      ? `the audit log is whole: ${records} records${older}`
      : `BROKEN at record ${broken.sequence} (${broken.kind}): ${MEANINGS[broken.kind]}\nthe ${records} before it are whole`
  return `${found}\nnewest: record ${head.sequence}, hash ${head.hash}\n${seals}\n`
}

/** One line for each record. */
export function auditTable(records: readonly AuditRecord[]): string {
  if (records.length === 0) return "no record matches\n"
  const rows = records.map(({ sequence, at, type, actor, requestId, data }) => [
    String(sequence),
    new Date(at * 1000).toISOString().replace(".000", ""),
    type,
    actor,
    requestId,
    data,
  ])
  return `${columns([["RECORD", "TIME", "TYPE", "ACTOR", "REQUEST", "DATA"], ...rows]).join("\n")}\n`
}

const MEANINGS: Readonly<Record<BreakKind, string>> = {
  gap: "the record before it is missing, or it is there twice",
  changed: "it, or the record before it, is not as it was written",
  unchained: "it was not written by a server that knows the chain",
  "no-start": "the chain has no first record",
  "false-start": "the first record of the chain does not count what was before it",
  "false-seal": "what was sealed is not what is there, or the sealing key is another one",
}
