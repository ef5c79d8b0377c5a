import assert from "node:assert/strict"
import { test } from "node:test"
import { CommitEngine } from "../../src/adapters/sqlite/commit-engine.ts"
import { CommitQueue } from "../../src/adapters/sqlite/commit-queue.ts"
import { HeldKeys } from "../../src/adapters/sqlite/held-keys.ts"
import { openDatabase } from "../../src/adapters/sqlite/open-database.ts"
import { OrderDesk } from "../../src/adapters/sqlite/order-desk.ts"
import { SqliteAuthorityJournal } from "../../src/adapters/sqlite/sqlite-authority-journal.ts"
import type { RotationOutcome } from "../../src/core/authority/rotation-command.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { holdOpens } from "../support/held-opens.ts"
import { openIssueFixture } from "../support/issue-fixture.ts"
import { ALICE, type Controlled, openControlled } from "../support/rotation/controlled.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"

const ALL = { by: "alice", reason: "stolen", consumers: "all" } as const
const DECLARED = { code: "conflict", reason: "emergency-being-declared", next: /assay rotation status/ }
const STALLED = { code: "not-ready", reason: "emergency-stalled", next: /keys\.directory.*say it again/ }

for (const kind of ["x509", "jwt"] as const) {
  test(`[ROT-77] ${kind}: a key store that hangs is answered for after 20 s, at once to who comes meanwhile, and what it made then is not used`, async () => {
    const it = await openControlled({ rows: [] }, { kind })
    const { clock, keys } = it.fixture
    const creations = holdCreation(it)
    const before = it.trust.record()
    const first = it.operate.emergency(ALL, ALICE)
    await until("asked", () => creations.count === 1)
    await clock.advance(19)
    await assert.rejects(it.operate.emergency(ALL, ALICE), DECLARED)
    const answered = assert.rejects(first, STALLED)
    await clock.advance(1)
    await answered
    await assert.rejects(it.operate.emergency(ALL, ALICE), STALLED)
    assert.equal(creations.count, 1, "nothing is begun beside what hangs")
    creations.release()
    const chosen = it.trust.record().looseKeys?.[kind]?.chosen ?? assert.fail()
    await until("given up", () => it.trust.record().looseKeys?.[kind]?.left.includes(chosen) === true)
    await until("destroyed", async () => !(await keys.list()).some((name) => name.startsWith(chosen)))
    const { rotations, roots, jwtKeys } = it.trust.record()
    assert.deepEqual([rotations, roots, jwtKeys], [before.rotations, before.roots, before.jwtKeys])
    await until("free", () => it.operate.emergency(ALL, ALICE).then(isDone, isStalled))
    assert.equal(it.phase(), "retiring")
  })

  test(`[ROT-77] ${kind}: keys that cannot be opened hold up an emergency that is done for 5 s, and the next one not at all`, async () => {
    const it = await openControlled({ rows: [] }, { kind })
    const { clock, keys } = it.fixture
    const opens = holdOpens(keys)
    opens.hold()
    const first = it.operate.emergency(ALL, ALICE)
    await until("done", () => it.phase() === "retiring")
    const said = await it.operate.emergency(ALL, ALICE)
    assert.deepEqual([said.kind, "reason" in said && said.reason], ["refused", "emergency-under-way"])
    await clock.untilSleeping(1)
    await clock.advance(5)
    assert.equal((await first).kind, "moved")
    const second = it.operate.emergency({ ...ALL, again: true }, ALICE)
    const state = () => it.trust.record().rotations[kind]
    await until("done again", () => {
      const now = state()
      return "others" in now && now.others.length > 0
    })
    await clock.untilSleeping(1)
    await clock.advance(5)
    assert.equal((await second).kind, "moved")
    opens.release()
    assert.equal(await it.controller.drive(), "retired")
  })
}

test("[ROT-77] an emergency that cannot be written is told where to look", async () => {
  await using scratch = await makeScratch()
  const record = (await openIssueFixture()).trust.record()
  using db = openDatabase(scratch.path("s.db"), "create")
  db.exec("PRAGMA query_only = ON")
  const engine = new CommitEngine(db)
  const desk = new OrderDesk(engine, new HeldKeys())
  const full = new CommitQueue((jobs) => new Promise((answer) => desk.run([{ jobs, answer }])))
  await assert.rejects(new SqliteAuthorityJournal(full).replace(record), {
    ...{ code: "not-ready", reason: "store-write-failed", next: /disk of storage\.sqlite/ },
  })
  const hanging = new CommitQueue(() => new Promise(() => undefined), undefined, 1)
  await assert.rejects(new SqliteAuthorityJournal(hanging).replace(record), {
    ...{ code: "not-ready", reason: "store-stalled", next: /disk of storage\.sqlite/ },
  })
})

/** Keys are made once they are released. */
function holdCreation({ fixture: { keys } }: Controlled): { readonly count: number; release(): void } {
  const create = keys.create.bind(keys)
  const gate = Promise.withResolvers<void>()
  let count = 0
  keys.create = async (...asked) => {
    count++
    await gate.promise
    return create(...asked)
  }
  return {
    get count() {
      return count
    },
    release: () => gate.resolve(),
  }
}

function isDone({ kind }: RotationOutcome): boolean {
  return kind === "moved"
}

/** Not done yet. */
function isStalled(thrown: unknown): boolean {
  assert.ok(thrown instanceof IdentityError && thrown.reason === STALLED.reason)
  return false
}
