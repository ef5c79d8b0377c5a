import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { chmod, writeFile } from "node:fs/promises"
import { delimiter } from "node:path"
import { describe, test } from "node:test"
import { promisify } from "node:util"
import { startDemo } from "../support/demo-run.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"

const STEPS = [
  "x509-svid",
  "jwt-svid",
  "token-exchange",
  "mtls-accepted",
  "mtls-refused",
  "leaf-rotation",
  "root-rotation",
]
const WEB = "spiffe://demo.example/ns/shop/sa/web"
const API = "spiffe://demo.example/ns/shop/sa/api"
const BILLING = "spiffe://demo.example/ns/shop/sa/billing"
const NO_ENVOY = { ASSAY_PEER_CACHE: "/nonexistent", PATH: "/nonexistent" }

describe("npm run demo", { concurrency: 2 }, () => {
  test("-- --once --json prints one object with what each step measured, and leaves nothing behind", async () => {
    await using demo = await startDemo(["--once", "--json"], NO_ENVOY)
    const { code, stdout, stderr, leftBehind } = await demo.ended
    assert.equal(code, 0, stderr)
    const steps = stepsOf(stdout)
    assert.deepEqual(
      steps.map(({ name }) => name),
      STEPS,
    )
    for (const step of steps) assert.equal(step.ok, true, JSON.stringify(step))
    const details = new Map(steps.map(({ name, detail }) => [name, detail]))
    assert.match(
      details.get("x509-svid") ?? "",
      new RegExp(`shop:web, pod web-0 -> ${WEB};.*shop:api, pod api-0 -> ${API};`),
    )
    assert.match(
      details.get("jwt-svid") ?? "",
      /fetched for audience .* in [\d.]+ ms.*refused there for another audience: "/,
    )
    assert.match(
      details.get("token-exchange") ?? "",
      new RegExp(
        `exchanged for audience .*scope read, in [\\d.]+ ms.*as ${WEB} in [\\d.]+ ms.*refused for another audience: "`,
      ),
    )
    assert.match(
      details.get("mtls-accepted") ?? "",
      new RegExp(`TLSv1.3 handshake in [\\d.]+ ms.*web saw ${API}; api saw ${WEB}`),
    )
    assert.match(
      details.get("mtls-refused") ?? "",
      new RegExp(`handshake complete in [\\d.]+ ms, then refused: the peer is ${BILLING}, and only ${WEB} is allowed`),
    )
    const [, requests, failed] = /before: (\d+) requests, (\d+) failed/.exec(details.get("leaf-rotation") ?? "") ?? []
    assert.ok(Number(requests) > 100, `${requests} requests`)
    assert.equal(failed, "0")
    assert.match(
      details.get("root-rotation") ?? "",
      /root \w{12} replaced by \w{12}.*draining: .*waited for .*holds-other.*: [1-9]\d* requests, each on a new connection, 0 failed/,
    )
    assert.match(stderr, /npm test prepares one/)
    assert.deepEqual(leftBehind, [])
  })

  test("without --once it stays up, says what to try next, and ends well when it is told to", async () => {
    await using demo = await startDemo([], NO_ENVOY)
    await until("the demo to stay up", () => demo.stdout().includes("Ctrl-C stops everything"), 300_000)
    const again = /^ {2}(curl .*grant_type=.*; echo)$/m.exec(demo.stdout())?.[1] ?? ""
    const { stdout: answer } = await promisify(execFile)("sh", ["-c", again])
    assert.equal(JSON.parse(answer).scope, "read")
    demo.signal("SIGINT")
    const { code, stdout, stderr, leftBehind } = await demo.ended
    assert.equal(code, 0, stderr)
    for (const what of [
      "api fetch x509 --socket unix://",
      "log search",
      "explain",
      "/metrics",
      "npm test prepares one",
    ]) {
      assert.ok(stdout.includes(what), what)
    }
    assert.deepEqual(leftBehind, [])
  })

  test("a step that fails is reported as failed, hides no other, and makes the exit code 1", async () => {
    await using folder = await makeScratch("broken")
    await writeFile(folder.path("envoy"), "#!/bin/sh\necho cannot run >&2\nexit 3\n")
    await chmod(folder.path("envoy"), 0o755)
    const path = [folder.directory, process.env["PATH"]].join(delimiter)
    await using demo = await startDemo(["--once", "--json"], { ...NO_ENVOY, PATH: path })
    const { code, stdout, stderr, leftBehind } = await demo.ended
    assert.equal(code, 1, stderr)
    assert.notEqual(stdout, "", stderr)
    const steps = stepsOf(stdout)
    assert.deepEqual(
      steps.map(({ name, ok }) => [name, ok]),
      [...STEPS.slice(0, -1).map((name) => [name, true]), ["envoy-mtls", false], ["root-rotation", true]],
    )
    assert.match(steps.at(-2)?.detail ?? "", /Envoy envoy-api ended before it was up: cannot run/)
    assert.deepEqual(leftBehind, [])
  })

  test("a signal in the middle ends it with exit code 1 and leaves nothing behind", async () => {
    await using demo = await startDemo(["--once"], NO_ENVOY)
    await until("the first step", () => demo.stdout().includes("x509-svid"), 300_000)
    demo.signal("SIGTERM")
    const { code, stdout, leftBehind } = await demo.ended
    assert.equal(code, 1)
    assert.match(stdout, /stopped by SIGTERM/)
    assert.deepEqual(leftBehind, [])
  })

  test("ends by itself when the process that started it is killed", async () => {
    await using demo = await startDemo([], NO_ENVOY, "in a shell")
    await until("the first step", () => demo.stdout().includes("x509-svid"), 300_000)
    demo.signal("SIGKILL")
    const { stdout, leftBehind } = await demo.ended
    assert.match(stdout, /stopped, as the process that started it has ended/)
    assert.deepEqual(leftBehind, [])
  })

  test("refuses a flag that it does not have, with exit code 64", async () => {
    await using demo = await startDemo(["--onec"])
    const { code, stderr } = await demo.ended
    assert.equal(code, 64)
    assert.match(stderr, /'--onec'[\s\S]*usage: /)
  })
})

test("npm run demo with Envoy: two Envoys fed by SDS, no failed request", {
  skip: await skipWithout("envoy"),
}, async () => {
  await using demo = await startDemo(["--once", "--json"])
  const { code, stdout, stderr, leftBehind } = await demo.ended
  assert.equal(code, 0, stderr)
  const envoy = stepsOf(stdout).at(-2)
  assert.equal(envoy?.name, "envoy-mtls")
  assert.match(envoy.detail, /[1-9]\d* requests, each on a new connection, 0 failed.*saw \S+ with [2-9] certificates/)
  assert.deepEqual(leftBehind, [])
})

interface StepReport {
  readonly name: string
  readonly ok: boolean
  readonly ms: number
  readonly detail: string
}

/** The steps of a report that has the form it must have. */
function stepsOf(stdout: string): readonly StepReport[] {
  const report: unknown = JSON.parse(stdout)
  assert.ok(typeof report === "object" && report !== null && "steps" in report && Array.isArray(report.steps))
  assert.deepEqual(Object.keys(report), ["steps"])
  return report.steps.map((step: unknown) => {
    assert.ok(typeof step === "object" && step !== null)
    assert.deepEqual(Object.keys(step), ["name", "ok", "ms", "detail"])
    const { name, ok, ms, detail } = step as StepReport // its members are checked in the next line
    assert.deepEqual([typeof name, typeof ok, typeof ms, typeof detail], ["string", "boolean", "number", "string"])
    return { name, ok, ms, detail }
  })
}
