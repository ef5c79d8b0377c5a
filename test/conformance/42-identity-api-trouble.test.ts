import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync } from "node:fs"
import { connect as connectHttp2 } from "node:http2"
import { connect } from "node:net"
import { join } from "node:path"
import { Writable } from "node:stream"
import { test } from "node:test"
import type { Worker } from "node:worker_threads"
import { BoundedOutput } from "../../src/adapters/log/bounded-output.ts"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { adminSocketPath } from "../../src/main/admin-socket-path.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { runServer } from "../../src/main/server.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import { listenHealth } from "../../src/transports/health/health-http.ts"
import { quietLog } from "../support/quiet-log.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

const PROGRAM = join(import.meta.dirname, "../../src/main/cli.ts")

test("[IDA-31] a SIGHUP that comes while the server stops does not end it", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory, { drain: { timeout: "1m" } })
  const { roots } = await initTrustDomain(setup)
  await using server = await startServerProcess(setup)
  const client = connectHttp2(`https://localhost:${server.port}`, { ca: roots })
  const path = "/assay.v1.Identity/IssueJwt"
  const call = client.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" })
  call.on("error", () => undefined).write(Buffer.alloc(1)) // never ends, and holds up the drain
  await once(client, "remoteSettings")
  server.signal("SIGTERM")
  await until("nobody to watch the configuration", () => server.log().includes('"server stops"'))
  server.signal("SIGHUP")
  client.on("error", () => undefined).destroy()
  await until("the end of the process", () => !server.running)
  assert.equal(server.exitCode, 0)
})

test("[IDA-33] a log that cannot be written costs what was to be logged, and nothing else", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  await initTrustDomain(setup)
  const full = openSync("/dev/full", "w")
  const server = spawn(process.execPath, [PROGRAM, "server", "-c", setup.configFile], {
    stdio: ["ignore", "ignore", full],
  })
  closeSync(full)
  const ended = once(server, "exit")
  await until("the server to listen", () => server.exitCode !== null || answers(adminSocketPath(setup.parse({}))))
  server.kill("SIGTERM")
  assert.deepEqual(await ended, [0, null])
})

test("[IDA-33] of a log that nobody reads no more than 1 MiB waits, and its reader is told how many lines it missed", () => {
  const read: string[] = []
  const waiting: (() => void)[] = []
  const reader = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      read.push(line)
      waiting.push(done)
    },
  })
  const output = new BoundedOutput(reader)
  const line = `${"x".repeat(1023)}\n`
  for (let i = 0; i < 5000; i++) output.write(line)
  assert.ok(reader.writableLength <= 1024 * 1024 + line.length, `${reader.writableLength} bytes wait`)
  while (reader.writableLength > 0) waiting.shift()?.()
  const before = read.length
  output.write(line)
  output.write(line)
  while (reader.writableLength > 0) waiting.shift()?.()
  assert.equal(JSON.parse(read[before] ?? "").lost, 5000 - before)
  assert.deepEqual(read.slice(before + 1), [line, line])
})

test("[IDA-08] who is over the rate fills no log", async () => {
  const lines: string[] = []
  const note = (level: string) => () => void lines.push(level)
  const log = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") }
  const metrics = makeServerMetrics()
  const { issue } = makeServerEvents(log, metrics)
  for (const code of ["rate-limited", "policy-denied", "internal"] as const) {
    issue.refused("jwt", "request", new IdentityError(code, "text"))
  }
  assert.deepEqual(lines, ["debug", "info", "error"])
  assert.match(await metrics.registry.metrics(), /assay_refused_total\{kind="jwt",code="rate-limited"\} 1/)
})

test("[IDA-30] what asks nothing of the health port is closed soon, so that probes get through", async () => {
  await using health = await listenHealth("127.0.0.1", 0, { ready: () => true, metrics: async () => "" })
  const idle = Array.from({ length: 64 }, (_, i) => {
    const socket = connect(health.port, "127.0.0.1").on("error", () => undefined)
    return i % 2 === 0 ? socket.resume() : socket.resume().once("connect", () => socket.write("GET /re"))
  })
  await until("all to be closed", () => idle.every(({ closed }) => closed), 20_000)
  assert.equal((await fetch(`http://127.0.0.1:${health.port}/ready`)).status, 200)
})

test("[IDA-34] a server whose store or proofs lost their thread ends, and says of what", async () => {
  for (const [thread, reason] of [
    ["store", "store-dead"],
    ["crypto", "crypto-dead"],
  ] as const) {
    await using scratch = await makeScratch()
    const setup = await makeServerSetup(scratch.directory)
    await initTrustDomain(setup)
    const threads: Worker[] = []
    const note = (worker: Worker) => void threads.push(worker)
    process.on("worker", note)
    const running = run(setup, () => void threads[thread === "store" ? 0 : 1]?.terminate())
    await assert.rejects(running, refusal("not-ready", reason))
    process.off("worker", note)
  }
})

test("[IDA-34] why a server ends is in its log", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const server = spawn(process.execPath, [PROGRAM, "server", "-c", setup.configFile], {
    stdio: ["ignore", "ignore", "pipe"],
  })
  const ended = once(server, "exit")
  const text: string[] = []
  for await (const chunk of server.stderr.setEncoding("utf8")) text.push(String(chunk))
  assert.deepEqual(await ended, [1, null])
  const [first = "", last] = text.join("").trim().split("\n")
  assert.equal(JSON.parse(first).msg, "server failed")
  assert.match(JSON.parse(first).error.message, /there is no store/)
  assert.match(last ?? "", /^assay: not-found: /)
})

async function run(setup: ServerSetup, listening: () => void): Promise<void> {
  const config = setup.parse({})
  const watch = (_adopt: unknown, _metrics: unknown, signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
  const sealingKey = await readSealingKey(config, {})
  await runServer({ config, sealingKey, log: quietLog, watch, listening }, new AbortController().signal)
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, "connect")
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
