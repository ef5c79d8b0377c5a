import type { ApprovalReach } from "../admin/approval-reach.ts"
import { type Check, critical, type Finding, info, judge, ok, warning } from "./check.ts"
import type { DoctorFacts, Lifetime, MachineFacts } from "./facts.ts"
import { judgeLifetime } from "./lifetime.ts"

/** What can be seen without a running server. */
export const MACHINE_CHECKS: readonly Check[] = [
  { name: "node-version", run: nodeVersion },
  { name: "configuration", run: configuration },
  { name: "approval", run: ({ approval: reaches }) => reaches.map(judgeReach) },
  { name: "sealing-key", run: onMachine(({ sealingKey }) => [judge(sealingKey, (where) => ok(where), SEALING_KEY)]) },
  { name: "file-modes", run: onMachine(fileModes) },
  { name: "store", run: onMachine(({ store }) => [judge(store, () => ok("can be read"), STORE)]) },
  { name: "disk-space", run: onMachine(({ disk }) => [judge(disk, judgeDisk, DISK)]) },
  {
    name: "audit-sinks",
    run: onMachine(({ sinks }) => sinks.map(({ file, look }) => judge(look, () => ok(file), SINK))),
  },
  { name: "clusters", run: onMachine(clusters) },
  { name: "listeners", run: (facts) => (facts.machine === undefined ? [] : listeners(facts.machine, facts)) },
  { name: "serving-certificate", run: servingCertificate },
]

function onMachine(run: (machine: MachineFacts) => readonly Finding[]): Check["run"] {
  return ({ machine }) => (machine === undefined ? [] : run(machine))
}

function nodeVersion({ node: { version, least } }: DoctorFacts): readonly Finding[] {
  if (compare(version, least) >= 0) return [ok(`Node ${version}`)]
  return [critical(`Node ${version} is older than ${least}`, `run it on Node ${least} or later`)]
}

function servingCertificate({ machine, now }: DoctorFacts): readonly Finding[] {
  if (machine?.serving === undefined) return []
  const judged = (life: Lifetime) => judgeLifetime("that of the listeners", life, now, SERVING.next)
  return [judge(machine.serving, judged, SERVING)]
}

/** Of versions `a.b.c`; what is missing is 0. */
function compare(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => text.split(".").map(Number))
  const at = [0, 1, 2].find((i) => (a?.[i] ?? 0) !== (b?.[i] ?? 0))
  return at === undefined ? 0 : (a?.[at] ?? 0) - (b?.[at] ?? 0)
}

function configuration({ configuration: look }: DoctorFacts): readonly Finding[] {
  if (look === undefined) return [info("none was named (-c), so nothing on this machine was looked at")]
  if (look.kind === "failed") return [critical(look.why, look.next ?? "fix it, then run assay validate")]
  if (look.seen.length === 0) return [ok("valid")]
  return look.seen.map((text) => warning(text, "read the rule again: it is allowed, and likely not what is meant"))
}

/** @see ADM-29 */
function judgeReach({ verb, kind, roles }: ApprovalReach): Finding {
  switch (kind) {
    case "named":
      return ok(`two are named who can propose and approve what needs the verb ${verb}`)
    case "open":
      return info(
        `what needs the verb ${verb} needs two operators; how many hold ${roles.join(", ")} cannot be known from here`,
      )
    case "machine":
      return warning(
        `what needs the verb ${verb} needs two operators, and one would have to be root or the server's own user`,
        `give two a role with the verbs ${verb} and approvals (admin.roles; identities need listen.admin, too)`,
      )
    default:
      return kind satisfies never
  }
}

function fileModes({ exposed }: MachineFacts): readonly Finding[] {
  if (exposed.length === 0) return [ok("store and keys are their owner's alone")]
  return exposed.map(({ file, mode }) => {
    return critical(`others may read or write ${file} (mode ${mode.toString(8)})`, `chmod go-rwx ${file}`)
  })
}

function judgeDisk({
  folder,
  freeBytes,
  totalBytes,
}: {
  folder: string
  freeBytes: number
  totalBytes: number
}): Finding {
  const free = `${Math.floor(freeBytes / MIB)} MiB free of ${Math.floor(totalBytes / MIB)} at ${folder}`
  if (freeBytes < 100 * MIB)
    return critical(free, "make room: without it nothing is recorded, and so nothing is issued")
  return freeBytes < 1024 * MIB || freeBytes < totalBytes / 20 ? warning(free, "make room before it is full") : ok(free)
}

function clusters({ clusters: all }: MachineFacts): readonly Finding[] {
  if (all.length === 0) return [warning("none is configured: no workload can be attested", "add one under clusters")]
  return all.map(({ name, what, look }) => judge(look, () => ok(`${what} of ${name}`), CLUSTER))
}

function listeners({ addresses }: MachineFacts, { server }: DoctorFacts): readonly Finding[] {
  return addresses.map(({ name, address, loopback, answers }) => {
    const where = `listen.${name} ${address}`
    if (server.kind === "seen" && !answers) {
      return critical(
        `${where} does not answer, though the server does`,
        "compare the address with the one in the log of its start",
      )
    }
    if (server.kind === "failed" && server.refused !== true && answers) {
      return warning(`${where} is in use, though no server answers`, "find who listens there, or give it another port")
    }
    if (name === "health" && !loopback) {
      return warning(
        `${where} tells everybody in reach metrics and health, without TLS`,
        "use a loopback address, or guard it by the network",
      )
    }
    return ok(`${where}${answers ? " answers" : ""}`)
  })
}

const MIB = 1024 * 1024
const SEALING_KEY = { severity: "critical", next: "restore the key: without it no other key can be read" } as const
const STORE = { severity: "critical", next: "run assay init, or check storage.sqlite" } as const
const DISK = { severity: "warning", next: "check the folder of storage.sqlite" } as const
const SINK = {
  severity: "critical",
  next: "let the server's user write it: when none can be written, nothing is issued",
} as const
const CLUSTER = {
  severity: "critical",
  next: "check address, roots and credentials of the cluster from this machine",
} as const
const SERVING = {
  severity: "warning",
  next: "renew serving.certificate_file; one of its own a running server renews itself",
} as const
