import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs"
import { appendFile, copyFile, mkdir, rename, rm, rmdir, symlink, writeFile } from "node:fs/promises"
import { test } from "node:test"
import type { Worker } from "node:worker_threads"
import { AuditFollower } from "../../src/adapters/sqlite/audit-follower.ts"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { encodeAudit } from "../../src/adapters/sqlite/audit-row.ts"
import { CommitQueue, type RecordGate } from "../../src/adapters/sqlite/commit-queue.ts"
import type { JobResult } from "../../src/adapters/sqlite/job.ts"
import { openSqliteStore, type SqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { SqliteBanLog } from "../../src/adapters/sqlite/sqlite-ban-log.ts"
import { SqliteProposalLog } from "../../src/adapters/sqlite/sqlite-proposal-log.ts"
import { parseEnvelope } from "../../src/core/audit/envelope.ts"
import type { AuditRecord } from "../../src/core/audit/record.ts"
import { ChainWalk } from "../../src/core/audit/walk.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"
import { writeUntilKilled } from "../support/write-until-killed.ts"

const FAILED = refusal("not-ready", "audit-failed")
/** Milliseconds that no disk or thread needs, however busy the machine is. */
const PATIENCE = 1500
const STALLED = 500

test("[AUD-30] what was acknowledged is in the file, whole and in the chain, through SIGKILL at random moments", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  const file = scratch.path("audit.jsonl")
  await (await started(path, "create"))[Symbol.asyncDispose]()
  for (let round = 0; round < 3; round++) {
    const acknowledged = await writeUntilKilled([path, String(round), file], 60 + round * 50)
    const whole = readFileSync(file, "utf8").split("\n").slice(0, -1)
    const serials = new Set(whole.map((line) => JSON.parse(line).data.serial))
    assert.deepEqual(
      acknowledged.filter((serial) => !serials.has(serial)),
      [],
    )
  }
  await using store = await started(path, "open", file)
  assert.equal(walked(file).length, (await store.auditChain.state()).head.sequence)
})

test("[AUD-31] a disk that is full stops everything that is audited, and it goes on with nothing missing", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("audit.jsonl")
  await using store = await started(scratch.path("s.db"), "create", file)
  await store.auditLog.append(fixtureGrant("a"))
  await rename(file, scratch.path("old.jsonl"))
  await symlink("/dev/full", file)
  await assert.rejects(
    store.issuanceLog.recordIntent(fixtureIntent("b"), fixtureGrant("b"), FIXTURE_NOW, NO_BANS),
    FAILED,
  )
  assert.ok(FAILED(store.failure))
  assert.match(store.failure?.next ?? "", /audit\.sinks/)
  await assert.rejects(
    store.issuanceLog.recordIntent(fixtureIntent("c"), fixtureGrant("c"), FIXTURE_NOW, NO_BANS),
    FAILED,
  )
  assert.deepEqual(await store.issuanceLog.search({ serial: "c", limit: 1 }), [])
  await rm(file)
  await until("the file to be written again", () => store.failure === undefined)
  await store.auditLog.append(fixtureGrant("d"))
  assert.deepEqual(serialsIn(scratch.path("old.jsonl")), ["a"])
  assert.deepEqual(serialsIn(file), ["b", "d"])
})

test("[AUD-31] a file whose thread ended is written on by another, with nothing missing, and so is a pipe", async () => {
  await using scratch = await makeScratch()
  const [file, pipe] = [scratch.path("audit.jsonl"), scratch.path("pipe")]
  execFileSync("mkfifo", [pipe])
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const threads: Worker[] = []
  const note = (worker: Worker) => void threads.push(worker)
  process.on("worker", note)
  await using store = await started(scratch.path("s.db"), "create", file, pipe)
  process.off("worker", note)
  const [, ofFile, ofPipe] = threads
  await store.auditLog.append(fixtureGrant("a"))
  await ofPipe?.terminate()
  await store.auditLog.append(fixtureGrant("b"))
  const piped: string[] = []
  await until("the pipe to have all of it", () => {
    piped.push(drain(reader))
    return piped.join("").includes('"serial":"b"')
  })
  assert.ok(piped.join("").includes('"serial":"a"'))
  await ofFile?.terminate()
  await store.auditLog.append(fixtureGrant("c"))
  await until("the file to have all of it", () => serialsIn(file).includes("c"))
  assert.deepEqual(serialsIn(file), ["a", "b", "c"])
  closeSync(reader)
})

test("[AUD-30][AUD-31] bans and what a second person decides are held back, and refused, as all that is audited", async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const gate: RecordGate & { failure: IdentityError | undefined } = { failure: undefined, delivered: () => promise }
  const queue = new CommitQueue(async (jobs) => jobs.map(() => ({ kind: "done" })), gate)
  const [bans, proposals] = [new SqliteBanLog(queue), new SqliteProposalLog(queue)]
  const target = { kind: "pod", uid: "3f0f2a55-0ce7-4aa7-a6a5-6aa5c2d8f2b1" } as const
  const ban = { target, reason: "r", actor: "a", createdAt: FIXTURE_NOW, until: undefined }
  const about = { id: "1", operation: "o", request: "{}", digest: "d", target: "t", role: "r", over: "" }
  const proposer = { kind: "peer", uid: 1, gid: 1, pid: 1 } as const
  const proposal = { ...about, proposer, createdAt: FIXTURE_NOW, expiresAt: FIXTURE_NOW + 60 }
  const said = fixtureGrant("a")
  const write = () => [
    bans.add(ban, said),
    bans.lift(target, FIXTURE_NOW, said),
    proposals.add(proposal, said),
    proposals.decide("1", { outcome: "approved", by: "b", at: FIXTURE_NOW, requestId: "r" }, said),
    proposals.resume("1", FIXTURE_NOW, said),
    proposals.settle("1", { outcome: "done", at: FIXTURE_NOW, reason: "" }, said),
  ]
  let heard = 0
  const written = write().map((one) => one.then(() => heard++))
  for (let turn = 0; turn < 2; turn++) await queue.submit({ kind: "barrier" })
  assert.equal(heard, 0)
  resolve()
  await Promise.all(written)
  gate.failure = new IdentityError("not-ready", "no file", { reason: "audit-failed" })
  await Promise.all(write().map((one) => assert.rejects(one, FAILED)))
})

test("[AUD-32] a pipe that nobody reads is taken for broken after its time, holds up no other, and goes on when it is read", async () => {
  await using scratch = await makeScratch()
  const pipe = scratch.path("pipe")
  execFileSync("mkfifo", [pipe])
  await assert.rejects(started(scratch.path("none.db"), "create", pipe), FAILED)
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  await using store = await started(scratch.path("s.db"), "create", pipe)
  const event = { ...fixtureGrant("x"), actor: "a".repeat(20_000) }
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => store.auditLog.append(event)))
  assert.ok(outcomes.some((one) => one.status === "rejected" && FAILED(one.reason)))
  await until("the pipe to be empty and the store to go on", () => {
    drain(reader)
    return store.failure === undefined
  })
  await store.auditLog.append(fixtureGrant("y"))
  assert.ok(drain(reader).includes('"serial":"y"'))
  closeSync(reader)
  const file = scratch.path("audit.jsonl")
  await using both = await started(scratch.path("s2.db"), "create", file, openedPipe(scratch.path("pipe2")))
  for (let i = 0; i < 8; i++) await both.auditLog.append(event)
  assert.equal(both.failure, undefined)
  assert.equal(serialsIn(file).length, 8)
})

test("[AUD-33] a store that does not answer is told to all who wait and all who come, until it does", async () => {
  let answer = (_results: readonly JobResult[]): void => undefined
  const queue = new CommitQueue(() => new Promise((resolve) => (answer = resolve)), undefined, STALLED)
  await assert.rejects(queue.submit({ kind: "barrier" }), refusal("not-ready", "store-stalled"))
  await assert.rejects(queue.submit({ kind: "barrier" }), refusal("not-ready", "store-stalled"))
  answer([{ kind: "done" }])
  await until("the store to be taken for well", () => queue.stalled === undefined)
  const asked = queue.submit({ kind: "barrier" })
  setImmediate(() => setImmediate(() => answer([{ kind: "done" }])))
  assert.deepEqual(await asked, { kind: "done" })
})

test("[AUD-33] files that are made up for slowly are not taken for a store that does not answer", async () => {
  const slow = Promise.withResolvers<void>()
  const gate = { failure: undefined, delivered: () => slow.promise }
  const queue = new CommitQueue(async (jobs) => jobs.map(() => ({ kind: "done" })), gate, STALLED)
  const audited = queue.submit({ kind: "audit", audit: encodeAudit(fixtureGrant("a")) })
  audited.catch(() => undefined)
  const mute = new CommitQueue(() => new Promise(() => undefined), undefined, STALLED)
  await assert.rejects(mute.submit({ kind: "barrier" }), refusal("not-ready", "store-stalled"))
  assert.deepEqual(await queue.submit({ kind: "barrier" }), { kind: "done" })
  slow.resolve()
  assert.deepEqual(await audited, { kind: "done" })
})

test("[AUD-34] a file that is renamed is followed by a new one without a gap, also over a restart", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  const file = scratch.path("audit.jsonl")
  {
    await using store = await started(path, "create", file)
    await store.auditLog.append(fixtureGrant("a"))
    await rename(file, scratch.path("1"))
    await store.auditLog.append(fixtureGrant("b"))
    await rename(file, scratch.path("2"))
  }
  await using store = await started(path, "open", file)
  await store.auditLog.append(fixtureGrant("c"))
  assert.deepEqual([serialsIn(scratch.path("1")), serialsIn(scratch.path("2"))], [["a"], ["b"]])
  // Better twice than never: the new file begins where the one before it began.
  assert.deepEqual(serialsIn(file), ["b", "c"])
})

test("[AUD-34] the torn end of a file is cut off and written again", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("s.db")
  const file = scratch.path("audit.jsonl")
  await (await started(path, "create", file))[Symbol.asyncDispose]()
  await appendFile(file, '{"specversion":"1.0","id":"2-')
  await using store = await started(path, "open", file)
  await store.auditLog.append(fixtureGrant("a"))
  assert.deepEqual(walked(file).length, 2)
})

test("[AUD-35] a store that was set back refuses to write on after what it has forgotten", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("audit.jsonl")
  await (await started(scratch.path("s.db"), "create"))[Symbol.asyncDispose]()
  await copyFile(scratch.path("s.db"), scratch.path("backup.db"))
  {
    await using store = await started(scratch.path("s.db"), "open", file)
    await store.auditLog.append(fixtureGrant("a"))
  }
  const before = readFileSync(file, "utf8")
  await assert.rejects(started(scratch.path("backup.db"), "open", file), FAILED)
  {
    await using store = await started(scratch.path("backup.db"), "open")
    await store.auditLog.append(fixtureGrant("other"))
  }
  await assert.rejects(started(scratch.path("backup.db"), "open", file), FAILED)
  assert.equal(readFileSync(file, "utf8"), before)
})

test("[AUD-35] a file that is another's is not written to at the second try, nor one whose beginning could not be kept", async () => {
  await using scratch = await makeScratch()
  const [path, file] = [scratch.path("s.db"), scratch.path("audit.jsonl")]
  await using store = await started(path, "create")
  using follower = new AuditFollower(openAuditReader(path), { file, trustDomain: "prod.example", patience: PATIENCE })
  const follow = () => follower.follow(() => undefined)
  follow()
  await rename(file, scratch.path("1"))
  await writeFile(file, "of somebody else\n")
  await store.auditLog.append(fixtureGrant("a"))
  for (let tries = 0; tries < 2; tries++) assert.throws(follow)
  assert.equal(readFileSync(file, "utf8"), "of somebody else\n")
  await rm(file)
  await mkdir(`${file}.from.new`)
  for (let tries = 0; tries < 2; tries++) assert.throws(follow, { code: "EISDIR" })
  await rmdir(`${file}.from.new`)
  follow()
  assert.deepEqual(serialsIn(file), ["a"])
  assert.equal(readFileSync(`${file}.from`, "utf8"), "1\n")
})

/** A store whose chain has begun. */
async function started(path: string, mode: "create" | "open", ...files: readonly string[]): Promise<SqliteStore> {
  const auditFiles = { files, trustDomain: "prod.example", patience: PATIENCE }
  const store = await openSqliteStore({ path, mode, auditFiles })
  await store.auditChain.start({ trustDomain: "prod.example", incarnation: "a1" }, FIXTURE_NOW)
  return store
}

/** The records of a file, each once, whose chain must hold. */
function walked(file: string): readonly AuditRecord[] {
  const walk = new ChainWalk({ from: "start" })
  let last = 0
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map(parseEnvelope)
    .filter((record) => {
      if (record.sequence <= last) return false
      assert.equal(walk.take(record), undefined)
      last = record.sequence
      return true
    })
}

function serialsIn(file: string): readonly unknown[] {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n")
  return lines.map((line) => JSON.parse(line).data.serial).filter((serial) => serial !== undefined)
}

/** A pipe with a reader that never reads. */
function openedPipe(path: string): string {
  execFileSync("mkfifo", [path])
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  process.once("exit", () => closeSync(fd))
  return path
}

function drain(fd: number): string {
  const chunks: Buffer[] = []
  for (;;) {
    const chunk = Buffer.alloc(65_536)
    try {
      const count = readSync(fd, chunk)
      if (count === 0) break
      chunks.push(chunk.subarray(0, count))
    } catch {
      break
    }
  }
  return Buffer.concat(chunks).toString()
}
