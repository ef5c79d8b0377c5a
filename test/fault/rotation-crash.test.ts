import assert from "node:assert/strict"
import { describe, test } from "node:test"
import type { RotationKind } from "../../src/core/authority/rotation-state.ts"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import { showLogsOnFailure } from "../support/peers/child.ts"
import { watchPeerTrust } from "../support/rotation/peer-trust.ts"
import { until } from "../support/until.ts"
import type { WatchedWorkload } from "../support/watched-workload.ts"
import { demandSound, openRotationBench, type RotationBench, type Way } from "./rotation-bench.ts"

const FORWARD = [
  "planned",
  "keyed",
  "publishing",
  "published",
  "active",
  "draining",
  "drained",
  "retiring",
  "retired",
  "stable",
]
/** Only roots have canaries. @see ROT-65 */
const PHASES = { x509: FORWARD.toSpliced(4, 0, "canary"), jwt: FORWARD }
const START = { x509: ["start", "--auto", "--canary-namespace", "shop"], jwt: ["start", "--auto"] }
/** Phases that evidence leads to, and the ones that wait for it. */
const SAFE_POINTS = { published: "publishing", drained: "draining", retired: "retiring" }
const WAYS: readonly Way[] = ["lost", "kept"]
const EMERGENCIES = [
  ["x509", "stable"],
  ["x509", "published"],
  ["jwt", "published"],
] as const

describe("a real server, killed in the middle of a rotation", { concurrency: 3, timeout: 900_000 }, () => {
  for (const kind of ["x509", "jwt"] as const) {
    test(`[ROT-35] ${kind}: killed before and after the write of every phase, it goes on where it stood, with one that signs and its key`, async () => {
      await using bench = await openRotationBench("1h", kind)
      const first = await bench.keys("root")
      const phases = PHASES[kind]
      for (const [i, phase] of phases.entries()) {
        for (const way of WAYS) {
          const last = bench.record()
          const act = phase === "planned" ? () => bench.rotation(...START[kind]) : undefined
          const acted = await bench.runVictim(phase, way, act)
          assert.notEqual(acted?.code, 0, "the command did not hear that it was done")
          assert.equal(bench.phase(), way === "lost" ? (phases[i - 1] ?? "stable") : phase, `${way} ${phase}`)
          await demandSound(bench, last)
        }
      }
      await using _server = await bench.startServer()
      const { roots, jwtKeys } = bench.record()
      const named = [roots, jwtKeys].map((authorities) => authorities.map(({ keyId }) => keyId))
      assert.deepEqual([await bench.keys("root"), await bench.keys("jwt")], named)
      assert.deepEqual([roots.length, jwtKeys.length], [1, 1])
      assert.equal(first[0] === roots[0]?.keyId, kind === "jwt")
    })
  }

  test("[ROT-35][RINV-01] killed before and after the write that follows each safe point, with live workloads: all trust all, and it ends", async (t) => {
    await using bench = await openRotationBench("30s")
    const before = await bench.startServer()
    const web = await bench.addAgent("web")
    const cart = await bench.addAgent("cart")
    showLogsOnFailure(t, web.agent, cart.agent)
    await until("their rows", () => bench.consumerPods().length === 2)
    await before[Symbol.asyncDispose]()
    const workloads = new Map([
      ["web", web.workload],
      ["cart", cart.workload],
    ])
    await using peers = watchPeerTrust(workloads)
    let isStarted = false
    for (const [phase, previous] of Object.entries(SAFE_POINTS)) {
      for (const way of WAYS) {
        const last = bench.record()
        const act = isStarted ? undefined : () => bench.rotation("start", "--auto")
        isStarted = true
        await bench.runVictim(phase, way, act)
        assert.equal(bench.phase(), way === "lost" ? previous : phase, `${way} ${phase}`)
        await demandSound(bench, last)
      }
    }
    await using _server = await bench.startServer()
    await until("its end", () => bench.phase() === "stable", RECOVERY)
    const root = Buffer.from(bench.record().roots[0]?.certificate ?? []).toString("hex")
    const alone = ({ seen }: WatchedWorkload) => String(seen.at(-1)?.bundle) === root
    await until("the new root alone, everywhere", () => alone(web.workload) && alone(cart.workload), RECOVERY)
    assert.deepEqual(peers.failures, [])
    t.diagnostic(`${peers.looks} looks at who trusts whom`)
  })

  test("[ROT-35][ROT-37] killed before and after each write of an abort: the new root is gone in the end, with its key", async () => {
    await using bench = await openRotationBench("10s")
    const first = bench.record()
    await startAndPublish(bench)
    for (const way of WAYS) {
      await bench.runVictim("unpublishing", way, () => bench.rotation("abort", "--yes"))
      assert.equal(bench.phase(), way === "lost" ? "published" : "unpublishing")
      await demandSound(bench, first)
    }
    for (const way of WAYS) {
      await bench.runVictim("stable", way)
      assert.equal(bench.phase(), way === "lost" ? "unpublishing" : "stable")
      await demandSound(bench, first)
    }
    assert.deepEqual([bench.record().roots, await bench.keys("root")], [first.roots, [first.roots[0]?.keyId]])
  })

  for (const [kind, from] of EMERGENCIES) {
    test(`[ROT-35][ROT-38][ROT-67] ${kind}: killed before and after each write of an emergency in ${from}: it is as it was or done, and nothing of before is left`, async () => {
      await using bench = await openRotationBench("10s", kind)
      if (from !== "stable") await startAndPublish(bench)
      const first = bench.record()
      const before = authoritiesOf(first, kind)
      for (const step of ["chosen", "retiring"]) {
        for (const way of WAYS) {
          const acted = await bench.runVictim(step, way, () => emergency(bench))
          assert.notEqual(acted?.code, 0, "the command did not hear that it was done")
          const isDone = step === "retiring" && way === "kept"
          assert.equal(bench.phase(), isDone ? "retiring" : from, `${way} ${step}`)
          if (!isDone) assert.deepEqual(authoritiesOf(bench.record(), kind), before)
          await demandSound(bench, first)
          await demandNothingUnknown(bench, kind)
        }
      }
      await using _server = await bench.startServer()
      assert.match((await emergency(bench)).err, /--again/)
      await until("nobody to wait for", () => bench.phase() === "retired")
      const [there, ...more] = authoritiesOf(bench.record(), kind).filter(({ state }) => state !== "removed")
      assert.deepEqual([there?.state, more], ["active", []])
      assert.ok(!before.some(({ keyId }) => keyId === there?.keyId))
      if (kind === "x509") await demandAloneTrusted(bench)
      assert.equal((await bench.rotation("advance")).code, 0)
      assert.deepEqual(await bench.keys(kind === "x509" ? "root" : "jwt"), [there?.keyId])
    })
  }

  test("[ROT-35][EVD-05] killed with a workload that never came back: it stays where it was, and names who it waits for, and until when", async () => {
    await using bench = await openRotationBench("5m")
    const before = await bench.startServer()
    const { agent, workload } = await bench.addAgent("web")
    await until("its row", () => bench.consumerPods().length === 1)
    agent.signal("SIGKILL")
    await before[Symbol.asyncDispose]()
    await bench.runVictim("publishing", "kept", async () => {
      await bench.rotation("start")
      await until("its key", () => bench.phase() === "keyed", RECOVERY)
      return bench.rotation("advance")
    })
    assert.equal(bench.consumerPods().length, 1, "who was there is forgotten")
    await using _server = await bench.startServer()
    const { out, err } = await bench.rotation("status", "-o", "json")
    const status = JSON.parse(out || err)
    assert.equal(status.phase, "publishing")
    const [late] = status.late
    assert.ok(
      late.spiffe_id.endsWith("/sa/web") && late.until !== undefined && late.reason !== "",
      JSON.stringify(late),
    )
    assert.ok(workload.seen.length > 0)
    assert.notEqual((await bench.rotation("advance")).code, 0)
    assert.equal(bench.phase(), "publishing")
  })
})

function emergency(bench: RotationBench) {
  return bench.rotation("emergency", "--reason", "stolen", "--all", "--yes")
}

function authoritiesOf({ roots, jwtKeys }: AuthorityRecord, kind: RotationKind) {
  return kind === "x509" ? roots : jwtKeys
}

/** Every key on the disk is one of an authority, or the record has its name all the same. */
async function demandNothingUnknown(bench: RotationBench, kind: RotationKind): Promise<void> {
  const record = bench.record()
  const { chosen, left = [] } = record.looseKeys?.[kind] ?? {}
  const loose = [...left, ...(chosen === undefined ? [] : [chosen])].flatMap((name) => [name, `${name}-es256`])
  const known = [...authoritiesOf(record, kind).map(({ keyId }) => keyId), ...loose]
  const unknown = (await bench.keys(kind === "x509" ? "root" : "jwt")).filter((keyId) => !known.includes(keyId))
  assert.deepEqual(unknown, [])
}

/** A workload that comes now is given the active root and no other. */
async function demandAloneTrusted(bench: RotationBench): Promise<void> {
  const { workload } = await bench.addAgent("web")
  const active = bench.record().roots.find(({ state }) => state === "active")
  assert.deepEqual(workload.seen.at(-1)?.bundle, [Buffer.from(active?.certificate ?? []).toString("hex")])
}

async function startAndPublish(bench: RotationBench): Promise<void> {
  await using _server = await bench.startServer()
  assert.equal((await bench.rotation("start")).code, 0)
  await until("its key", () => bench.phase() === "keyed", RECOVERY)
  assert.equal((await bench.rotation("advance")).code, 0)
  await until("its publication", () => bench.phase() === "published")
}

/** The longest pause of an agent between tries is 30 s. */
const RECOVERY = 60_000
