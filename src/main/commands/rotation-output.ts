import type { ResponseOf } from "../../transports/admin/contract.ts"
import type { rotationPlan, rotationStart, rotationStatus } from "../../transports/admin/rotation-contracts.ts"
import { columns } from "./columns.ts"
import { lifeLeft, spanText } from "./life-left.ts"

type Status = ResponseOf<typeof rotationStatus>

/** The phases in a line, where it stands, and who is late with what can be done about it. */
export function statusTable(reply: Status): string {
  if (reply.phase === "stable")
    return `no rotation of ${NAMES[reply.kind]} is under way; ${reply.consumers} consumers are known`
  const { now, phase, since = now, to, point, late_count: count, until, stopped } = reply
  const lines = [
    ribbon(phase),
    "",
    `phase ${phase} for ${spanText(now - since)}${reply.paused === true ? ", paused" : ""}${reply.emergency === true ? ", emergency" : ""}`,
    `${reply.kind === "jwt" ? "keys " : "root "} ${[reply.old ?? "", ...(reply.others ?? [])].join(", ")} -> ${reply.next ?? "(not made yet)"}`,
    `steps ${reply.auto === true ? "automatic" : "by hand"}${stopped === undefined ? "" : `, because: ${stopped}`}`,
  ]
  if (to !== undefined) {
    const decided =
      reply.decision === true && reply.auto !== true ? "assay rotation advance takes it" : "taken by itself"
    const free = reply.paused === true ? "assay rotation resume, and then it goes on" : decided
    const wait = until === undefined ? "" : `, at the latest ${lifeLeft(until, now)}`
    lines.push(
      count === 0
        ? `next  ${to}: nobody is late; ${free}`
        : `next  ${to}: waits for ${count}${point === undefined ? "" : ` (${point})`}${wait}`,
    )
  }
  return [...lines, ...lateTable(reply.late, now, count)].join("\n")
}

export function planTable(reply: ResponseOf<typeof rotationPlan>): string {
  const { now, namespaces, silent, silent_count: count } = reply
  const rows = namespaces.map((one) => [one.namespace, String(one.holders), String(one.never_acknowledge)])
  return [
    `${reply.kind === "jwt" ? "JWT keys" : "root"} to replace: ${reply.old}`,
    `everybody could trust a new one by ${reply.trusted_by === undefined ? "an unknown time" : lifeLeft(reply.trusted_by, now)}`,
    `nothing of the old one would be left by ${reply.drained_by === undefined ? "an unknown time" : lifeLeft(reply.drained_by, now)}`,
    ...(reply.restart_readers ? [RESTART] : []),
    "",
    ...columns([["NAMESPACE", "HOLDERS", "CANNOT ANSWER"], ...rows]),
    ...lateTable(silent, now, count),
  ].join("\n")
}

export function outcomeText(reply: ResponseOf<typeof rotationStart>): string {
  const { now, phase, changed, late, late_count: count, not_waived: others = [] } = reply
  const passed =
    others.length === 0 ? "" : `\nnobody waits for these now, and they are not waived: ${others.join(", ")}`
  if (changed) return `phase ${phase}; assay rotation status --watch shows how it goes on${passed}`
  const head = `nothing was changed; --yes does it. The rotation stands at ${phase}`
  return [head, ...lateTable(late, now, count)].join("\n")
}

/** One that is given up has left the way. */
function ribbon(phase: string): string {
  if (!PHASES.includes(phase)) return `[${phase.toUpperCase()}] > stable`
  return PHASES.map((one) => (one === phase ? `[${one.toUpperCase()}]` : one)).join(" > ")
}

function lateTable(late: Status["late"], now: number, count: number): readonly string[] {
  if (count === 0) return []
  const rows = late.slice(0, MAX_ROWS).map(({ id, reason, detail, namespace, until }) => {
    const end = until === undefined ? "does not end by itself" : lifeLeft(until, now)
    return [id, namespace, detail === "" ? reason : `${reason}: ${detail}`, end, WHAT_TO_DO[reason] ?? ""]
  })
  const rest = count > rows.length ? [`… and ${count - rows.length} more; -o json has the first 1,000`] : []
  return ["", ...columns([["LATE", "NAMESPACE", "WHY", "UNTIL", "WHAT TO DO"], ...rows]), ...rest]
}

const NAMES = { x509: "the root", jwt: "JWT keys" } as const
const PHASES = [
  ...["planned", "keyed", "publishing", "published", "canary", "active"],
  ...["draining", "drained", "retiring", "retired"],
]
const WHAT_TO_DO: Readonly<Record<string, string>> = {
  "not-acknowledged": "look at the proxy and its agent; it should answer within seconds",
  nack: "read why it refused, and mend that",
  disconnected: "bring it back, or wait for what it holds to expire",
  "never-acknowledges": "wait: only the end of what it holds proves anything",
  "holds-other": "it renews by itself, or restart it",
  unexpired: "wait for it to expire",
  "replica-behind": "look at that server",
  "replica-signs-other": "look at that server",
  "unseen-readers": "wait: rotation.reader_wait, or jwt.publish_ahead of JWT keys",
  soaking: "wait: rotation.canary.soak, or waive it",
}
const RESTART =
  "who reads the server's roots once, at its start, has to be started anew this time: this root is of an earlier version, and cannot vouch for the next one"
const MAX_ROWS = 40
