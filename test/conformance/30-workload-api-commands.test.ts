import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { open, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { text } from "node:stream/consumers"
import { test } from "node:test"
import { IdentityError } from "../../src/core/errors.ts"
import { describeFailure, UsageError } from "../../src/main/command-failure.ts"
import { SupervisedCommand } from "../../src/main/commands/supervised-command.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"
import { PROJECT } from "../support/project-files.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { until } from "../support/until.ts"
import { openWorkloadPeer } from "../support/workload-peer.ts"

const FORM = { json: false, verbose: false }

async function assay(args: readonly string[]) {
  const { SPIFFE_ENDPOINT_SOCKET: _, ...env } = process.env
  const child = spawn(process.execPath, ["src/main/cli.ts", ...args], { cwd: PROJECT, env })
  const [err] = await Promise.all([text(child.stderr), once(child, "close")])
  return { err, code: child.exitCode }
}

for (const [script, code] of [
  ["test -r $ASSAY_SVID_FILE && test -r $ASSAY_SVID_KEY_FILE && test -r $ASSAY_BUNDLE_FILE && exit 7", 7],
  ["kill -TERM $$", 143],
] as const) {
  test(`[CLI-06] exec gives the files and ends with ${code} as its command does`, async () => {
    await using peer = await openWorkloadPeer(source())
    const { code: got } = await assay(["exec", "--socket", peer.address, "--", "sh", "-c", script])
    assert.equal(got, code)
  })
}

test("[CLI-06] exec tells its command of a change that came after the first files and before it followed them", async () => {
  const first = source()
  const observed = first.observed.bind(first)
  first.observed = (consumer, report) => {
    observed(consumer, report)
    if (consumer.endsWith("/2") && report?.epoch === 0) first.ready(viewOf(8))
  }
  await using peer = await openWorkloadPeer(first)
  const script = "trap 'exit 5' HUP; while :; do sleep 1 & wait $!; done"
  const { code } = await assay(["exec", "--socket", peer.address, "--on-rotation", "SIGHUP", "--", "sh", "-c", script])
  assert.ok(code === 5 || code === 129, `${code}`) // it may be told before it can listen
})

test("[CLI-06] a command that was asked to stop is not started again by a change that was on its way", async () => {
  await using folder = await makeScratch("exec")
  const log = folder.path("starts")
  const script = 'echo >>"$LOG"; test "$(wc -l <"$LOG")" -eq 1 || exit 9; exec sleep 600'
  using run = new SupervisedCommand(["sh", "-c", script], { ...process.env, LOG: log })
  const ended = run.exitCode()
  await until("the start", () => existsSync(log) && readFileSync(log, "utf8") === "\n")
  run.stop()
  run.filesChanged("restart")
  assert.equal(await ended, 143)
})

test("[CLI-06] exec ends with 127 when the command cannot be started", async () => {
  await using peer = await openWorkloadPeer(source())
  const { err, code } = await assay(["exec", "--socket", peer.address, "--", "/nonexistent/command"])
  assert.equal(code, 127)
  assert.match(err, /did not start/)
})

test("[CLI-07] a failure is 1, a command line that cannot be meant 64, a bug 70, whatever the command", () => {
  const codeOf = (thrown: unknown) => describeFailure(thrown, FORM).exitCode
  assert.equal(codeOf(new IdentityError("no-identity", "no rule matches")), 1)
  assert.equal(codeOf(new IdentityError("not-ready", "later", { retryAfter: 5 })), 1)
  assert.equal(codeOf(new DOMException("late", "TimeoutError")), 1)
  assert.equal(codeOf(new UsageError("what?")), 64)
  assert.equal(codeOf(new TypeError("undefined is not a function")), 70)
})

for (const answering of [
  ["validate", "-c"],
  ["explain", "--token", "/dev/null", "-c"],
  ["policy", "check", "-c"],
  ["policy", "explain", "--client", "/a", "--audience", "b", "-c"],
  ["policy", "who-can", "--audience", "b", "-c"],
  ["policy", "diff", "/nonexistent/b.yaml"],
]) {
  test(`[CLI-10][CFG-34] a file that cannot be read is no answer of ${answering.join(" ")}`, async () => {
    await using folder = await makeScratch()
    for (const file of ["/nonexistent/a.yaml", folder.directory]) {
      const { code, out, err } = await runAssay([...answering, file])
      assert.deepEqual([code, out], [66, ""], err)
      const named = err.includes(`configuration file ${file} cannot be read (E`)
      assert.ok(named || err.includes("/nonexistent/b.yaml cannot be read (ENOENT)"), err)
      assert.match(err, /^assay: file-unreadable: .* \(next: .+\)\n$/)
    }
  })
}

test("[CLI-10] nor is a token that cannot be read, or an invalid configuration where its rules are asked", async () => {
  await using folder = await makeScratch()
  const file = folder.path("assay.yaml")
  await writeFile(
    file,
    "trust_domain: prod.example\nclusters: [{ name: main, issuer: i, audiences: [a], keys: { jwks_file: /x }, token_review: { mode: off } }]\n",
  )
  const missing = await runAssay(["explain", "-c", file, "--token", folder.path("token")])
  assert.deepEqual([missing.code, missing.out], [66, ""], missing.err)
  await writeFile(file, "nonsense: 1\n")
  for (const [code, ...command] of [
    [66, "explain", "--token", "/dev/null", "-c", file],
    [66, "policy", "who-can", "--audience", "b", "-c", file],
    [66, "policy", "diff", file, file],
    [1, "policy", "check", "-c", file],
    [1, "validate", "-c", file],
  ] as const)
    assert.equal((await runAssay(command)).code, code, command.join(" "))
})

test("[CLI-09] a command ends without a word when nobody reads on, and says so when its output cannot be written", async () => {
  const schema = (stdout: "pipe" | number) =>
    spawn(process.execPath, ["src/main/cli.ts", "config", "schema", "server"], {
      cwd: PROJECT,
      stdio: ["ignore", stdout, "pipe"],
    })
  const unread = schema("pipe")
  unread.stdout?.destroy()
  assert.ok(unread.stderr !== null)
  assert.deepEqual([await text(unread.stderr), unread.exitCode ?? (await once(unread, "exit"))[0]], ["", 141])
  await using full = await open("/dev/full", "w")
  const lost = schema(full.fd)
  assert.ok(lost.stderr !== null)
  assert.match(await text(lost.stderr), /^assay: output-unwritable: .*\n$/)
  assert.equal(lost.exitCode ?? (await once(lost, "exit"))[0], 1)
})

test("[CLI-07] agent exits 64 without a file, 1 for a bad one, and 1 when its socket is taken", async () => {
  await using folder = await makeScratch("agent")
  const { err, code } = await assay(["agent"])
  assert.equal(code, 64, err)
  const file = folder.path("agent.yaml")
  await writeFile(file, "trust_domain: prod.example\nbootstap: {}\n")
  const bad = await assay(["agent", "-c", file])
  assert.equal(bad.code, 1)
  assert.match(bad.err, /^assay: invalid-configuration: .*agent\.yaml:2:1.*bootstap/s)
  const path = folder.path("a.sock")
  const owner = createServer().listen(path)
  await once(owner, "listening")
  const config = {
    trust_domain: "prod.example",
    server: { address: "127.0.0.1:1" },
    bootstrap: { insecure: true },
    socket: { path },
  }
  await writeFile(file, JSON.stringify(config))
  const taken = await assay(["agent", "-c", file])
  owner.close()
  assert.equal(taken.code, 1)
  assert.match(taken.err, /^assay: already-exists: another process listens/m)
})

test("[CLI-07] commands that ask the Workload API exit 64 without an address", async () => {
  for (const args of [
    ["api", "fetch", "x509"],
    ["write", "-d", "/nonexistent"],
    ["exec", "--", "true"],
  ]) {
    const { err, code } = await assay(args)
    assert.equal(code, 64)
    assert.match(err, /SPIFFE_ENDPOINT_SOCKET/)
  }
})

function source(): FakeSource {
  return new FakeSource({ kind: "ready", view: viewOf(7) })
}

function viewOf(n: number) {
  const der = Buffer.from([0x30, 1, n])
  const own = fakeBundle("prod.example", { x509Authorities: [der] })
  return fakeView({ svids: [fakeSvid("spiffe://prod.example/a", { chain: [der] })], own })
}
