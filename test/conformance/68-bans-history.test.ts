import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate as turn } from "node:timers/promises"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { bannedError } from "../../src/app/ban/banned.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import type { BanLog } from "../../src/ports/bans.ts"
import {
  type BanCall,
  BanHistory,
  type BanReplica,
  type BanWorld,
  banModel,
  banWorld,
  forgetfulLog,
  type MakeGuard,
  openBanReplica,
  seededRandom,
} from "../support/ban-history.ts"
import { linearize } from "../support/linearize.ts"
import { makeScratch } from "../support/scratch.ts"

const ROUNDS = 24
const STEPS = 7

test("[BAN-15][BAN-04] bans, lifts and issuances of many clients are linearizable, also when commits fail and after a restart", async () => {
  const rounds = await playRounds({})
  for (const { world, calls } of rounds) assertLinearizable(world, calls)
  const count = (fits: (call: BanCall) => boolean) => rounds.flatMap(({ calls }) => calls).filter(fits).length
  // A history in which nothing was at odds would prove nothing.
  for (const output of ["done", "not-banned", "issued", "banned", undefined]) {
    assert.ok(count((call) => call.output === output) > ROUNDS / 2, `${output}`)
  }
})

test("[BAN-15] the same judge finds fault with a guard at the door that the commit does not repeat", async () => {
  const rounds = await playRounds({ guard: atTheDoorAlone })
  assert.ok(rounds.some(({ world, calls }) => linearize(calls, banModel(world)).kind === "not-linearizable"))
})

test("[BAN-15] the same judge finds fault with a ban that is confirmed and was not written", async () => {
  const rounds = await playRounds({ wrap: confirmAlone })
  assert.ok(rounds.some(({ world, calls }) => linearize(calls, banModel(world)).kind === "not-linearizable"))
})

interface Variant {
  readonly guard?: MakeGuard
  readonly wrap?: (log: BanLog) => BanLog
}

/** Rounds over one store, which then is opened again and asked about everybody once more. */
async function playRounds({ guard, wrap = (log) => log }: Variant) {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  const rounds = Array.from({ length: ROUNDS }, (_, i) => ({ world: banWorld(`r${i}`), history: new BanHistory() }))
  {
    await using store = await openSqliteStore({ path, mode: "create" })
    const signer = await store.signing.makeSigner()
    for (const [seed, { world, history }] of rounds.entries()) {
      const random = seededRandom(seed)
      const log = forgetfulLog(wrap(store.banLog), random)
      const options = { store, signer, ...(guard === undefined ? {} : { guard }) }
      const [one, other] = [await openBanReplica({ ...options, log }), await openBanReplica(options)]
      await play({ world, history, one, other, random })
    }
  }
  await using store = await openSqliteStore({ path, mode: "open" })
  const replica = await openBanReplica({ store, signer: await store.signing.makeSigner() })
  for (const { world, history } of rounds) {
    for (const id of world.ids) {
      await history.record("restarted", { kind: "issue", id, hearsay: false }, () => replica.issue(id))
    }
  }
  return rounds.map(({ world, history }) => ({ world, calls: history.calls }))
}

interface Round {
  readonly world: BanWorld
  readonly history: BanHistory
  readonly one: BanReplica
  readonly other: BanReplica
  readonly random: () => number
}

/** Two operators and two workloads at one replica, two workloads at another, which follows from time to time. */
async function play({ world, history, one, other, random }: Round): Promise<void> {
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] ?? assert.fail("nothing to pick")
  const operator = async (name: string) => {
    for (let i = 0; i < STEPS; i++) {
      const [kind, target] = [pick(["ban", "lift"] as const), pick(world.targets)]
      await history.record(name, { kind, target }, () => one[kind](target))
      await turns(random() * 4)
    }
  }
  const workload = async (name: string, replica: BanReplica) => {
    for (let i = 0; i < STEPS; i++) {
      const id = pick(world.ids)
      await history.record(name, { kind: "issue", id, hearsay: replica === other }, () => replica.issue(id))
      await turns(random() * 4)
    }
  }
  const follow = async () => {
    for (let i = 0; i < 2; i++) {
      await turns(10 + random() * 20)
      await other.bans.catchUp()
    }
  }
  const workloads = [one, one, other, other].map((replica, i) => workload(`workload-${i}`, replica))
  await Promise.all([operator("operator-0"), operator("operator-1"), ...workloads, follow()])
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/** A look at the bans that are known here, and then a commit that whatever came meanwhile does not stop. */
const atTheDoorAlone: MakeGuard = ({ sign, bans, log }) => {
  return async (order) => {
    const ban = bans.match(order.subject)
    if (ban !== undefined) throw bannedError(ban)
    for (;;) {
      const { head } = await log.readAfter(Number.MAX_SAFE_INTEGER, 1)
      try {
        return await sign({ ...order, guards: { bansSeen: head } })
      } catch (thrown) {
        if (toIdentityError(thrown).reason !== "bans-changed") throw thrown
      }
    }
  }
}

/** Says that a ban is durable, and writes it not. */
function confirmAlone(log: BanLog): BanLog {
  return {
    add: async () => undefined,
    lift: (...call) => log.lift(...call),
    readAfter: (...call) => log.readAfter(...call),
  }
}

function assertLinearizable(world: BanWorld, calls: readonly BanCall[]): void {
  const verdict = linearize(calls, banModel(world))
  if (verdict.kind === "linearizable") return
  const shown = (list: readonly BanCall[]) => list.map((call) => JSON.stringify(call)).join("\n")
  assert.fail(`no order of\n${shown(calls)}\nis one; stuck at\n${shown(verdict.stuck)}`)
}
