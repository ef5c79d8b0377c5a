import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { link, rename, rm, symlink } from "node:fs/promises"
import { describe, type TestContext, test } from "node:test"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { parseEnvelope } from "../../src/core/audit/envelope.ts"
import type { AuditRecord } from "../../src/core/audit/record.ts"
import { ChainWalk } from "../../src/core/audit/walk.ts"
import { type Failure, failureOf, IdentityPeer } from "../support/identity-peer.ts"
import { Child, showLogsOnFailure } from "../support/peers/child.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

const UNAVAILABLE = 14

describe("the copies of the audit log of a real server", { timeout: 180_000 }, () => {
  test("[AUD-36][AUD-30] one of two on a full disk: SVIDs go on, the log and the metrics name it, and it is made up for", async (t) => {
    await using bench = await openBench(t, ["good.jsonl", "bad.jsonl"])
    await bench.issue()
    assert.equal(await bench.failing("bad.jsonl"), 0)
    await bench.fill("bad.jsonl")
    await bench.issue()
    await until("the metric to say so", async () => (await bench.failing("bad.jsonl")) === 1)
    assert.equal(await bench.failing("good.jsonl"), 0)
    assert.equal(await bench.metric("assay_audit_file_failure_total", "bad.jsonl"), 1)
    assert.equal(await bench.isReady(), true)
    const line = bench.server.log().match(/.*cannot be written and is tried again.*/)?.[0] ?? ""
    assert.ok(line.includes("bad.jsonl") && line.includes("ENOSPC"), line)
    await rm(bench.path("bad.jsonl"))
    await until("it to be written again", async () => (await bench.failing("bad.jsonl")) === 0)
    assert.match(bench.server.log(), /written again, with nothing missing/)
    await bench.issue()
    await until("both to have all of it", () => {
      return ["good.jsonl", "bad.jsonl"].every((name) => newest(bench.path(name)) === bench.recorded())
    })
    walk(recordsIn(bench.path("bad.jsonl.old"), bench.path("bad.jsonl")))
  })

  test("[AUD-31] the only one on a full disk: Unavailable, with no path in it, and not ready, until it can be written", async (t) => {
    await using bench = await openBench(t, ["only.jsonl"])
    await bench.issue()
    await bench.fill("only.jsonl")
    const failure = await bench.refused()
    assert.deepEqual([failure.status, failure.code, failure.reason], [UNAVAILABLE, "not-ready", "audit-failed"])
    assert.equal(failure.message.includes("only.jsonl"), false)
    assert.equal(await bench.isReady(), false)
    await rm(bench.path("only.jsonl"))
    await until("SVIDs again", () => bench.tried())
    await until("to be ready", () => bench.isReady())
    walk(recordsIn(bench.path("only.jsonl.old"), bench.path("only.jsonl")))
  })

  test("[AUD-31] a device that is gone while it is written: Unavailable, the log says why, and a file in its place goes on", async (t) => {
    await using scratch = await makeScratch()
    const log = scratch.path("terminal.log")
    await using terminal = new Child({
      name: "terminal",
      command: "script",
      args: ["--quiet", "--command", "tty; exec sleep 300", scratch.path("typescript")],
      log,
    })
    const device = await terminal.until("its device", async () => DEVICE.exec(terminal.logTail())?.[0], 10_000)
    const sink = scratch.path("audit.jsonl")
    await symlink(device, sink)
    await using bench = await openBench(t, [sink])
    await bench.issue()
    const before = bench.recorded()
    terminal.signal("SIGKILL")
    await until("the terminal to be gone", () => !terminal.running)
    const failure = await bench.refused()
    assert.deepEqual([failure.status, failure.code, failure.reason], [UNAVAILABLE, "not-ready", "audit-failed"])
    await until("the log to name the cause", () => /audit\.jsonl: E(?:IO|ACCES|NOENT)/.test(bench.server.log()))
    await rm(sink)
    await until("SVIDs again", () => bench.tried())
    const records = recordsIn(sink)
    assert.ok(
      records[0] !== undefined && records[0].sequence <= before + 1,
      "what was not written to the device is here",
    )
    walk(records, "middle")
  })

  test("[AUD-32] a reader that is stopped: Unavailable within the deadline of a call, and on when it reads again", async (t) => {
    await using scratch = await makeScratch()
    const pipe = scratch.path("audit.pipe")
    execFileSync("mkfifo", [pipe])
    const copy = scratch.path("copy.jsonl")
    await using reader = new Child({ name: "reader", command: "cat", args: [pipe], log: copy })
    await using bench = await openBench(t, [pipe])
    await bench.issue()
    reader.signal("SIGSTOP")
    // A pipe takes 64 KiB, which is some hundred records; then the next caller is told, not kept.
    const failure = await bench.issueUntilRefused(1000)
    assert.deepEqual([failure.status, failure.code, failure.reason], [UNAVAILABLE, "not-ready", "audit-failed"])
    assert.equal(await bench.isReady(), false)
    reader.signal("SIGCONT")
    await until("SVIDs again", () => bench.tried())
    await until("to be ready", () => bench.isReady())
    await until("the newest record to be read", () => newest(copy) >= bench.recorded())
    walk(recordsIn(copy), "middle")
  })
})

interface Bench extends AsyncDisposable {
  readonly server: ServerProcess
  path(name: string): string
  /** Puts the file aside as `<name>.old`; what is written next goes to a disk that is full. */
  fill(name: string): Promise<void>
  issue(): Promise<unknown>
  /** How an issuance fails. @throws Error when it does not */
  refused(): Promise<Failure>
  /** How the first of at most so many fails that does. */
  issueUntilRefused(most: number): Promise<Failure>
  /** Whether an issuance succeeds. */
  tried(): Promise<boolean>
  isReady(): Promise<boolean>
  metric(name: string, file: string): Promise<number | undefined>
  failing(file: string): Promise<number | undefined>
  /** Sequence of the newest record of the store. */
  recorded(): number
}

async function openBench(t: TestContext, files: readonly string[]): Promise<Bench> {
  await using stack = new AsyncDisposableStack()
  const scratch: Scratch = stack.use(await makeScratch())
  const pathOf = (name: string) => (name.startsWith("/") ? name : scratch.path(name))
  const sinks = files.map((name) => ({ file: pathOf(name) }))
  const limits = { identity_rate: "10000/s", identity_burst: 10_000 }
  const setup: ServerSetup = await makeServerSetup(scratch.directory, { audit: { sinks }, limits })
  const { roots } = await initTrustDomain(setup)
  const server = stack.use(await startServerProcess(setup))
  showLogsOnFailure(t, server)
  const peer = stack.use(new IdentityPeer({ address: server.address, roots }))
  const token = setup.token()
  const issue = () => peer.jwt({}, token)
  const metric = async (name: string, file: string) => {
    const text = await (await fetch(`${server.healthUrl}/metrics`)).text()
    const found = text.split("\n").find((line) => line.startsWith(`${name}{file="${pathOf(file)}"}`))
    return found === undefined ? undefined : Number(found.split(" ").at(-1))
  }
  const moved = stack.move()
  return {
    server,
    path: pathOf,
    fill: async (name) => {
      await symlink("/dev/full", pathOf(`${name}.full`))
      await link(pathOf(name), pathOf(`${name}.old`))
      await rename(pathOf(`${name}.full`), pathOf(name))
    },
    issue,
    refused: () => failureOf(issue()),
    issueUntilRefused: async (most) => {
      for (let i = 0; i < most; i++) {
        const call = issue()
        if (!(await succeeds(call))) return failureOf(call)
      }
      throw new Error(`${most} SVIDs, and none was refused`)
    },
    tried: () => succeeds(issue()),
    isReady: async () => (await fetch(`${server.healthUrl}/ready`)).ok,
    metric,
    failing: (file) => metric("assay_audit_file_failing", file),
    recorded: () => {
      using reader = openAuditReader(setup.parse({}).storage.sqlite)
      return reader.newest()
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

const DEVICE = /\/dev\/pts\/\d+/

function succeeds(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  )
}

/** The chain must hold from the first record to the last. A pipe begins with what is recorded after it was opened. */
function walk(records: readonly AuditRecord[], from: "start" | "middle" = "start"): void {
  const chain = new ChainWalk({ from })
  for (const record of records) assert.equal(chain.take(record), undefined)
}

/** The records of these files, each once. What a pipe was given of a line that it did not take whole is given again. */
function recordsIn(...files: readonly string[]): readonly AuditRecord[] {
  const lines = files.flatMap((file) => readFileSync(file, "utf8").split("\n").filter(isWhole))
  const records = new Map(lines.map((line) => [parseEnvelope(line).sequence, parseEnvelope(line)]))
  return [...records.values()].sort((a, b) => a.sequence - b.sequence)
}

function newest(file: string): number {
  return recordsIn(file).at(-1)?.sequence ?? 0
}

function isWhole(line: string): boolean {
  return line.startsWith("{") && line.endsWith("}}")
}
