import assert from "node:assert/strict"
import { test } from "node:test"
import type { RotationEvidence } from "../../src/core/authority/evidence.ts"
import type { RotationOutcome } from "../../src/core/authority/rotation-command.ts"
import { stepRotation } from "../../src/core/authority/rotation-step.ts"
import { explore } from "../support/rotation/explore.ts"
import { type Circumstances, happenings, SOUND } from "../support/rotation/happenings.ts"
import { firstWorld, type World } from "../support/rotation/world.ts"
import { faultOf } from "../support/rotation/world-faults.ts"
import { keyOf } from "../support/rotation/world-key.ts"

/** Ways of the world, each explored to the end with the reducer that ships. Together they take half a minute on two slow cores. */
const WAYS: readonly (readonly [string, number, Partial<Circumstances>])[] = [
  [
    "three workloads that reconnect, replicas that fall behind and lose their lease",
    3,
    { crashes: false, rollbacks: 0 },
  ],
  ["two workloads that crash and reconnect, rollbacks and aborts at any time", 2, { rollbacks: 1 }],
  ["one workload, any number of rollbacks", 1, {}],
  [
    "decisions that are written later, lost, or written and reported as failed",
    2,
    { apart: true, crashes: false, rollbacks: 0 },
  ],
  ["consumers that refuse an automatic rotation", 2, { automatic: true, lapses: false, rollbacks: 0 }],
  ["waivers", 1, { waivers: true, replicas: 1, crashes: false, lapses: false, rollbacks: 1 }],
  [
    "emergencies in every phase, and in an emergency, with waivers",
    1,
    { emergencies: 2, waivers: true, replicas: 1, crashes: false, lapses: false, rollbacks: 1 },
  ],
  [
    "an emergency in any phase, with two replicas and two workloads",
    2,
    { emergencies: 1, crashes: false, lapses: false, rollbacks: 0 },
  ],
  ["a second rotation after the first", 2, { starts: 2, crashes: false, lapses: false, rollbacks: 0 }],
]

for (const [name, workloads, part] of WAYS) {
  test(`[RINV-01] [RINV-02] [RINV-03] [RINV-04] [RINV-05] [RINV-07] [RINV-13] hold in every reachable state: ${name}`, (t) => {
    const phases = new Set<string>()
    const { states, depth, fault } = run(workloads, part, ({ db }) => phases.add(db.state.phase))
    t.diagnostic(`${states} states, the farthest ${depth} steps away`)
    assert.equal(fault, undefined, `${fault?.what}: ${fault?.trace.join(", ")}`)
    assert.equal(phases.size, 12, "every phase is reached")
  })
}

/** What is known to go wrong elsewhere, and the invariant that says so. */
const BAD: readonly (readonly [string, string, Partial<Circumstances>])[] = [
  ["timers alone", "RINV-01", { shown: (evidence) => ({ ...evidence, consumers: [] }) }],
  ["acknowledgements kept as a maximum", "RINV-0[15]", { acks: "maximum" }],
  ["a replica that is not gated", "RINV-0[124]", { shown: withoutReplicas }],
  ["SVID and bundle on separate streams", "RINV-0[14]", { held: false }],
  ["early retire", "RINV-0[17]", { shown: withoutExpiry }],
  ["rollback after retire", "RINV-0[1247]", { step: rollbackAlways }],
  ["an emergency that promotes what was prepared", "RINV-13", { emergencies: 1, step: promotePrepared }],
  ["writes without compare-and-swap", "RINV-0[12347]", { cas: false, apart: true }],
]

for (const [name, invariant, part] of BAD) {
  test(`[ROT-20] the exploration catches ${name}`, (t) => {
    const { states, fault } = run(2, part)
    t.diagnostic(`${fault?.what ?? ""} after ${states} states: ${fault?.trace.join(", ") ?? ""}`)
    assert.match(fault?.what ?? "nothing was caught", new RegExp(`^${invariant}: `))
  })
}

function run(workloads: number, part: Partial<Circumstances>, visit?: (world: World) => void) {
  const how: Circumstances = { ...SOUND, ...part }
  const next = (world: World) => happenings(world, how)
  return explore({ first: firstWorld(how.replicas, workloads), key: keyOf, next, fault: faultOf }, MAX_STATES, visit)
}

function withoutReplicas(evidence: RotationEvidence): RotationEvidence {
  return { ...evidence, replicas: [] }
}

/** Nobody looks at what is alive; who signs is still seen. */
function withoutExpiry(evidence: RotationEvidence): RotationEvidence {
  const consumers = evidence.consumers.map((row) => ({ ...row, issuers: [] }))
  return { ...evidence, consumers, lastExpiry: new Map() }
}

/** Goes back although the old authority left the bundle. */
function rollbackAlways(...[state, command, context]: Parameters<typeof stepRotation>): RotationOutcome {
  const isOut = command.kind === "rollback" && (state.phase === "retiring" || state.phase === "retired")
  return stepRotation(isOut ? { ...state, phase: "drained" } : state, command, context)
}

/** The one that was made for the rotation, and lay beside the one that is stolen, takes over. */
function promotePrepared(...[state, command, context]: Parameters<typeof stepRotation>): RotationOutcome {
  if (command.kind !== "emergency" || !("next" in state)) return stepRotation(state, command, context)
  const { now, epoch } = context
  const promoted = {
    ...state,
    phase: "retiring",
    since: now,
    epoch: epoch + 1,
    epochSince: now,
    emergency: true,
  } as const
  return { kind: "moved", what: "emergency", state: promoted }
}

const MAX_STATES = 1_000_000
