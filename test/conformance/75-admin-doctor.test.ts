import assert from "node:assert/strict"
import { chmod } from "node:fs/promises"
import { test } from "node:test"
import { exitCodeOf } from "../../src/core/doctor/check.ts"
import { CHECKS, runChecks } from "../../src/core/doctor/checks.ts"
import type { DoctorFacts, FederatedLook, MachineFacts, RotationLook, ServerLook } from "../../src/core/doctor/facts.ts"
import { openNamedCommands } from "../support/named-commands.ts"
import { projectFiles } from "../support/project-files.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

const NOW = 1_800_000_000
const DAY = 86_400
const YEAR = { notBefore: NOW - DAY, notAfter: NOW + 364 * DAY }

const WELL: MachineFacts = {
  sealingKey: { kind: "seen", seen: "sealing.key" },
  exposed: [],
  store: {
    kind: "seen",
    seen: { writtenAt: NOW, roots: [{ kind: "root", id: "aa".repeat(20), state: "active", ...YEAR }] },
  },
  disk: { kind: "seen", seen: { folder: ".", freeBytes: 50e9, totalBytes: 100e9 } },
  serving: { kind: "seen", seen: YEAR },
  sinks: [{ file: "audit.jsonl", look: { kind: "seen", seen: undefined } }],
  clusters: [{ name: "main", what: "keys", look: { kind: "seen", seen: undefined } }],
  addresses: [{ name: "grpc", address: "0.0.0.0:8443", loopback: false, answers: true }],
}
const CALM: RotationLook = {
  kind: "x509",
  phase: "stable",
  since: undefined,
  paused: false,
  stopped: undefined,
  decision: undefined,
  late: 0,
  until: undefined,
}
const UNDER_WAY: RotationLook = { ...CALM, phase: "publishing", since: NOW - 2 * DAY }
const PARTNER: FederatedLook = {
  trustDomain: "partner.example",
  inForce: "file",
  stored: true,
  trouble: undefined,
}
const READY: ServerLook = {
  version: "1.0.0",
  ready: true,
  clockAhead: 0,
  authorities: [
    { kind: "root", id: "aa".repeat(20), state: "active", ...YEAR },
    { kind: "issuing", id: "bb".repeat(20), state: "active", ...YEAR },
  ],
  subscribers: { count: 3, behind: 0, refusing: 0 },
  rotations: { kind: "seen", seen: [CALM] },
  federation: [PARTNER],
}
const DOWN = { kind: "failed", why: "no server answers" } as const

interface Case {
  readonly machine?: Partial<MachineFacts>
  readonly server?: Partial<ServerLook> | typeof DOWN
  readonly facts?: Partial<DoctorFacts>
}

function factsOf({ machine, server = {}, facts }: Case): DoctorFacts {
  return {
    now: NOW,
    node: { version: "26.10.0", least: "24.15" },
    configuration: { kind: "seen", seen: [] },
    approval: [{ verb: "rotation", kind: "named", roles: [] }],
    machine: { ...WELL, ...machine },
    serverNamed: false,
    server: "kind" in server ? server : { kind: "seen", seen: { ...READY, ...server } },
    ...facts,
  }
}

test("[ADM-35] what is to be done about agents and rotations names commands that can be run", async () => {
  const unknownCommands = await openNamedCommands()
  const late = { ...CALM, phase: "draining", since: NOW - 90_000, late: 2 }
  const rotations = [
    late,
    { ...late, late: 0, decision: "retiring" },
    { ...late, until: NOW },
    { ...late, paused: true },
    { ...late, stopped: "nack" },
  ]
  for (const subscribers of [
    { count: 3, behind: 1, refusing: 0 },
    { count: 3, behind: 0, refusing: 1 },
  ])
    for (const { next = "" } of runChecks(factsOf({ server: { subscribers, rotations: seen(...rotations) } })))
      assert.deepEqual(unknownCommands(next), [])
})

test("[ADM-35][ADM-36] nothing is to be done where all is well, and every check said something", () => {
  const findings = runChecks(factsOf({}))
  assert.deepEqual(
    findings.filter(({ severity }) => severity !== "ok"),
    [],
  )
  assert.deepEqual(
    [...new Set(findings.map(({ check }) => check))],
    CHECKS.map(({ name }) => name),
  )
  assert.equal(exitCodeOf(findings), 0)
})

const lasting = (left: number) => ({ notBefore: NOW - 100 * DAY, notAfter: NOW + left })
const CASES: Readonly<Record<string, readonly [string, "info" | "warning" | "critical", RegExp, Case]>> = {
  "an old Node": [
    "node-version",
    "critical",
    /24\.14\.9 is older than 24\.15/,
    { facts: { node: { version: "24.14.9", least: "24.15" } } },
  ],
  "an invalid file": [
    "configuration",
    "critical",
    /a\.yaml:1/,
    { facts: { configuration: { kind: "failed", why: "a.yaml:1:1: x" } } },
  ],
  "a warning": ["configuration", "warning", /a rule/, { facts: { configuration: { kind: "seen", seen: ["a rule"] } } }],
  "no file named": ["configuration", "info", /none was named/, { facts: { configuration: undefined } }],
  "an approval that nobody can give": [
    "approval",
    "warning",
    /needs two operators/,
    { facts: { approval: [{ verb: "rotation", kind: "machine", roles: [] }] } },
  ],
  "an approval that depends on who holds a role": [
    "approval",
    "info",
    /how many hold ops, sre cannot be known/,
    { facts: { approval: [{ verb: "bans", kind: "open", roles: ["ops", "sre"] }] } },
  ],
  "no sealing key": [
    "sealing-key",
    "critical",
    /there is no/,
    { machine: { sealingKey: { kind: "failed", why: "there is no sealing key" } } },
  ],
  "an open store": [
    "file-modes",
    "critical",
    /assay\.db \(mode 644\)/,
    { machine: { exposed: [{ file: "assay.db", mode: 0o644 }] } },
  ],
  "no store": ["store", "critical", /no store/, { machine: { store: { kind: "failed", why: "no store" } } }],
  "a full disk": ["disk-space", "critical", /9 MiB free/, { machine: { disk: disk(10e6) } }],
  "a disk that fills": ["disk-space", "warning", /MiB free/, { machine: { disk: disk(4e9) } }],
  "a sink that cannot be written": [
    "audit-sinks",
    "critical",
    /EACCES/,
    { machine: { sinks: [{ file: "a", look: { kind: "failed", why: "EACCES" } }] } },
  ],
  "no cluster": ["clusters", "warning", /none is configured/, { machine: { clusters: [] } }],
  "a cluster out of reach": [
    "clusters",
    "critical",
    /ECONNREFUSED/,
    { machine: { clusters: [{ name: "main", what: "TokenReview", look: { kind: "failed", why: "ECONNREFUSED" } }] } },
  ],
  "an address that is taken": ["listeners", "warning", /in use, though no server/, { server: DOWN }],
  "an address that does not answer": [
    "listeners",
    "critical",
    /does not answer/,
    { machine: { addresses: [address("grpc", false)] } },
  ],
  "open metrics": ["listeners", "warning", /metrics/, { machine: { addresses: [address("health", true)] } }],
  "a certificate of a file that ends": [
    "serving-certificate",
    "critical",
    /another 2d/,
    { machine: { serving: { kind: "seen", seen: lasting(2 * DAY) } } },
  ],
  "no server": ["server", "info", /no server answers; what only/, { server: DOWN }],
  "no server where one was named": [
    "server",
    "warning",
    /no server answers; what only/,
    { server: DOWN, facts: { serverNamed: true } },
  ],
  "a server that is not ready": ["server", "critical", /not ready/, { server: { ready: false } }],
  "a clock that is ahead": ["clock", "warning", /60s|1m ahead/, { server: { clockAhead: 90 } }],
  "a clock that is far off": ["clock", "critical", /behind ours/, { server: { clockAhead: -4000 } }],
  "a store from the future": [
    "clock",
    "critical",
    /2h ahead of this clock/,
    { server: DOWN, machine: { store: { kind: "seen", seen: { writtenAt: NOW + 7200, roots: [] } } } },
  ],
  "a root that ends": [
    "authorities",
    "warning",
    /the root authority aaaaaaaa is good for another 20d/,
    { server: { authorities: authorities(20 * DAY) } },
  ],
  "a root that ended": ["authorities", "critical", /has expired/, { server: { authorities: authorities(-1) } }],
  "no issuing authority": [
    "authorities",
    "critical",
    /no issuing authority/,
    { server: { authorities: authorities(90 * DAY).slice(0, 1) } },
  ],
  "an agent behind": [
    "agents",
    "warning",
    /1 behind/,
    { server: { subscribers: { count: 2, behind: 1, refusing: 0 } } },
  ],
  "an agent that refuses": [
    "agents",
    "critical",
    /1 refusing/,
    { server: { subscribers: { count: 2, behind: 1, refusing: 1 } } },
  ],
  "a trust domain that is not trusted": [
    "federation",
    "critical",
    /partner\.example is not trusted: ENOENT/,
    { server: { federation: [{ ...PARTNER, inForce: "none", stored: false, trouble: "ENOENT" }] } },
  ],
  "a trust domain whose file is bad": [
    "federation",
    "warning",
    /ENOENT; the last good bundle is in force$/,
    { server: { federation: [{ ...PARTNER, inForce: "kept", trouble: "ENOENT" }] } },
  ],
  "a trust domain whose file is bad, and that would be lost": [
    "federation",
    "warning",
    /in force, and lost with the next start/,
    { server: { federation: [{ ...PARTNER, inForce: "kept", stored: false, trouble: "ENOENT" }] } },
  ],
  "a trust domain that is not kept": [
    "federation",
    "warning",
    /not in the store/,
    { server: { federation: [{ ...PARTNER, stored: false }] } },
  ],
  "a rotation that stopped": [
    "rotation",
    "warning",
    /stopped: nack/,
    { server: { rotations: seen({ ...UNDER_WAY, stopped: "nack" }) } },
  ],
  "a rotation that is paused": [
    "rotation",
    "warning",
    /paused/,
    { server: { rotations: seen({ ...UNDER_WAY, paused: true }) } },
  ],
  "a rotation that waits for ever": [
    "rotation",
    "warning",
    /for ever/,
    { server: { rotations: seen({ ...UNDER_WAY, late: 2 }) } },
  ],
  "a rotation that waits for long": [
    "rotation",
    "warning",
    /waits for 2$/,
    { server: { rotations: seen({ ...UNDER_WAY, late: 2, until: NOW + 60 }) } },
  ],
  "a rotation that an operator has to decide on": [
    "rotation",
    "warning",
    /publishing for 2d \(since 2027-01-13T08:00:00Z\), nobody is late: an operator with the verb rotation has to decide on active$/,
    { server: { rotations: seen({ ...UNDER_WAY, decision: "active" }) } },
  ],
  "a rotation that this operator may not see": [
    "rotation",
    "info",
    /^not looked at: not for you$/,
    { server: { rotations: { kind: "failed", why: "not for you", refused: true } } },
  ],
  "a rotation that could not be seen": [
    "rotation",
    "warning",
    /^not looked at: no evidence$/,
    { server: { rotations: { kind: "failed", why: "no evidence" } } },
  ],
}

for (const [what, [check, severity, text, facts]] of Object.entries(CASES)) {
  test(`[ADM-35][ADM-36] ${what} is found, and what to do`, () => {
    const findings = runChecks(factsOf(facts))
    const found = findings.find((one) => one.check === check && one.severity === severity)
    assert.ok(found !== undefined, JSON.stringify(findings))
    assert.match(found.finding, text)
    if (severity !== "info") assert.ok((found.next ?? "").length > 0)
    assert.equal(exitCodeOf([found]), { info: 0, warning: 1, critical: 2 }[severity])
  })
}

test("[ADM-35] the chapter lists the checks there are", () => {
  const chapter = projectFiles("spec/75-admin-api.md")
    .map(({ text }) => text)
    .join("")
  const part = chapter.slice(chapter.indexOf("## What the doctor checks"))
  assert.deepEqual(
    [...part.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name),
    CHECKS.map(({ name }) => name),
  )
})

test("[ADM-35][ADM-36] assay doctor looks at a machine without a server, and with one", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const doctor = (...more: string[]) => runAssay(["doctor", "-c", setup.configFile, ...more])
  const before = await doctor()
  assert.equal(before.code, 2, before.err)
  assert.match(before.out, /^critical {2}store: .*\n {10}next: run assay init/m)
  await initTrustDomain(setup)
  const without = await doctor("-o", "json")
  assert.equal(without.code, 0, without.out)
  const counted: unknown = JSON.parse(without.out)
  assert.deepEqual({ ...Object(counted) }.counts, { ok: 8, info: 1, warning: 0, critical: 0 })
  await using _server = await startServerProcess(setup)
  const well = await doctor()
  assert.deepEqual([well.code, well.out.includes("ok        server: ")], [0, true], well.out)
  await chmod(setup.folder, 0o700)
  await chmod(`${setup.folder}/assay.db`, 0o644)
  const open = await doctor("-o", "yaml")
  assert.equal(open.code, 2)
  assert.match(open.out, /check: file-modes/)
  const named = await runAssay(["doctor", "--server", "https://localhost:1", "--token-file", `${setup.folder}/none`])
  assert.equal(named.code, 1)
  assert.match(named.out, /^warning {3}server: token file .*none cannot be read .*\n {10}next: check the path/m)
  const usage = await runAssay(["doctor", "--svid-dir", setup.folder])
  assert.equal(usage.code, 64)
})

function seen(...rotations: readonly RotationLook[]): ServerLook["rotations"] {
  return { kind: "seen", seen: rotations }
}

function disk(freeBytes: number): MachineFacts["disk"] {
  return { kind: "seen", seen: { folder: ".", freeBytes, totalBytes: 100e9 } }
}

function address(name: string, answers: boolean) {
  return { name, address: "0.0.0.0:1", loopback: false, answers }
}

function authorities(left: number): ServerLook["authorities"] {
  const life = { state: "active", ...lasting(left) }
  return [
    { kind: "root", id: "aa".repeat(20), ...life },
    { kind: "issuing", id: "bb".repeat(20), ...life },
  ]
}
