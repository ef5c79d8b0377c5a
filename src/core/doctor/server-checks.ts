import { type Check, critical, type Finding, info, ok, warning } from "./check.ts"
import type { DoctorFacts, FederatedLook, RotationLook, ServerLook } from "./facts.ts"
import { daysText, judgeLifetime } from "./lifetime.ts"

/** What a running server says, and what its store says without one. */
export const SERVER_CHECKS: readonly Check[] = [
  { name: "server", run: server },
  { name: "clock", run: clock },
  { name: "authorities", run: authorities },
  { name: "agents", run: onServer(agents) },
  { name: "federation", run: onServer(({ federation }) => federation.map(federated)) },
  { name: "rotation", run: onServer(rotations) },
]

function onServer(run: (server: ServerLook, facts: DoctorFacts) => readonly Finding[]): Check["run"] {
  return (facts) => (facts.server.kind === "seen" ? run(facts.server.seen, facts) : [])
}

function server({ server: look, serverNamed }: DoctorFacts): readonly Finding[] {
  if (look.kind === "failed") {
    const finding = `${look.why}; what only a running one knows was not looked at`
    const next = look.next ?? "start assay server"
    return [serverNamed ? warning(finding, next) : { ...info(finding), next }]
  }
  const { ready, version } = look.seen
  return [
    ready
      ? ok(`${version}, ready`)
      : critical(`${version} is not ready`, "its log says why: store, clock, or audit files"),
  ]
}

function clock({ server: look, machine, now }: DoctorFacts): readonly Finding[] {
  const store = machine?.store
  if (store?.kind === "seen" && store.seen.writtenAt > now + SKEW) {
    return [
      critical(
        `the store was written ${daysText(store.seen.writtenAt - now)} ahead of this clock`,
        "set the clock of this machine before a server starts",
      ),
    ]
  }
  if (look.kind === "failed") return []
  const off = Math.abs(look.seen.clockAhead)
  if (off <= SKEW) return [ok("that of the server is ours")]
  const finding = `that of the server is ${daysText(off)} ${look.seen.clockAhead > 0 ? "ahead of" : "behind"} ours`
  return [off > 10 * SKEW ? critical(finding, NTP) : warning(finding, NTP)]
}

function authorities({ server: look, machine, now }: DoctorFacts): readonly Finding[] {
  const stored = machine?.store.kind === "seen" ? machine.store.seen.roots : []
  const all = look.kind === "seen" ? look.seen.authorities : stored
  const signing = all.filter(({ state }) => state === "active")
  if (look.kind === "seen" && !signing.some(({ kind }) => kind === "issuing")) {
    return [critical("the server has no issuing authority that is current", "its log says why it could not make one")]
  }
  return signing.map((one) => {
    const next = one.kind === "root" ? "assay rotation start" : "it renews itself; if not, the server's log says why"
    return judgeLifetime(`the ${one.kind} authority ${one.id.slice(0, 8)}`, one, now, next)
  })
}

function agents({ subscribers: { count, behind, refusing } }: ServerLook): readonly Finding[] {
  const found = `${count} connected, ${behind} behind, ${refusing} refusing`
  const next = "assay consumers list names them, those that refuse first"
  if (refusing > 0) return [critical(found, next)]
  return [behind > 0 ? warning(found, next) : ok(found)]
}

/** @see TD-18 */
function federated({ trustDomain, inForce, stored, trouble = "not read yet" }: FederatedLook): Finding {
  switch (inForce) {
    case "none":
      return critical(`${trustDomain} is not trusted: ${trouble}`, MEND_FILE)
    case "kept":
      return warning(
        `${trustDomain}: ${trouble}; the last good bundle is in force${stored ? "" : ", and lost with the next start"}`,
        MEND_FILE,
      )
    case "file":
      if (stored) return ok(`${trustDomain}: as its file says`)
      return warning(
        `${trustDomain}: as its file says, and not in the store`,
        "the server's log says why it cannot be kept",
      )
    default:
      return inForce satisfies never
  }
}

function rotations({ rotations: look }: ServerLook, { now }: DoctorFacts): readonly Finding[] {
  if (look.kind === "seen") return look.seen.map((one) => rotation(one, now))
  const { why, next = "run it again; if it stays, the server's log says why", refused } = look
  const finding = `not looked at: ${why}`
  return [refused === true ? { ...info(finding), next } : warning(finding, next)]
}

function rotation({ kind, phase, since, paused, stopped, decision, late, until }: RotationLook, now: number): Finding {
  const status = `assay rotation status --kind ${kind}`
  if (since === undefined) return ok(`${kind}: nothing is under way`)
  const where = `${kind}: ${phase} for ${daysText(now - since)}`
  if (stopped !== undefined)
    return warning(`${where}, stopped: ${stopped}`, `${status} says what is in the way; then assay rotation resume`)
  if (paused) return warning(`${where}, paused`, "assay rotation resume, or abort")
  if (late > 0 && until === undefined)
    return warning(`${where}, waits for ${late} for ever`, `${status} names them: help or waive them`)
  if (late > 0 && now - since > STUCK) return warning(`${where}, waits for ${late}`, `${status} names them`)
  if (late === 0 && decision !== undefined)
    return warning(
      `${where} (since ${new Date(since * 1000).toISOString().replace(".000", "")}), nobody is late: an operator with the verb rotation has to decide on ${decision}`,
      `assay rotation advance --kind ${kind}, or ${status} first`,
    )
  return ok(late > 0 ? `${where}, waits for ${late}` : where)
}

/** Seconds that clocks may be apart. */
const SKEW = 30
const MEND_FILE = "put a good bundle into its bundle_file; the server's log names it"
const NTP = "have both machines keep time (NTP)"
/** Longer than any SVID of the defaults lives, seconds. */
const STUCK = 86_400
