import assert from "node:assert/strict"
import { readFile, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { ERROR_CODES, IdentityError } from "../../src/core/errors.ts"
import { buildProgram } from "../../src/main/cli.ts"
import { describeFailure } from "../../src/main/command-failure.ts"
import { runAssay as assay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"

const GOOD = `trust_domain: prod.example
clusters: [{ name: main, issuer: i, audiences: [a], keys: { jwks_file: /x }, token_review: { mode: off } }]
`

test("[CFG-10] assay validate exits 0 for a valid file and 1 with all problems of an invalid one", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, GOOD)
  assert.deepEqual(await assay(["validate", "--config", file]), { code: 0, out: `${file}: valid\n`, err: "" })
  await writeFile(file, `${GOOD}lisen: {}\nlog: { level: loud }\n`)
  const invalid = await assay(["validate", "--config", file])
  assert.equal(invalid.code, 1)
  assert.match(invalid.out, /:3:1: lisen: unknown key/)
  assert.match(invalid.out, /:4:8: log\.level: must be one of/)
  const json = await assay(["validate", "--config", file, "-o", "json"])
  assert.equal(json.code, 1)
  assert.match(json.out, /^\{"valid":false,"problems":\[\{"file":/)
  assert.equal((await assay(["validate", "--kind", "agent", "--config", "deploy/examples/agent-sidecar.yaml"])).code, 0)
})

test("[CFG-10] assay validate says so when the file is good for the other process", async () => {
  const agents = await assay(["validate", "--config", "deploy/examples/agent-sidecar.yaml"])
  assert.equal(agents.code, 1)
  assert.match(agents.out, /\nnext: it is valid for the agent: --kind agent\n$/)
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, GOOD)
  const servers = await assay(["validate", "--kind", "agent", "--config", file, "-o", "json"])
  assert.equal(servers.code, 1)
  assert.match(servers.out, /"next":"it is valid for the server: --kind server"\}\n$/)
})

test("[CFG-11] help lists each command, and only the command asked for is registered with its options", async () => {
  const { code, out } = await assay(["--help"])
  assert.equal(code, 0)
  for (const name of [
    "init",
    "server",
    "agent",
    "validate",
    "explain",
    "config",
    "bundle",
    "oidc",
    "log",
    "api",
    "write",
    "exec",
  ]) {
    assert.match(out, new RegExp(`^  ${name} `, "m"))
    const program = await buildProgram([name])
    const loaded = program.commands.filter((command) => command.options.length + command.commands.length > 0)
    assert.deepEqual(
      loaded.map((command) => command.name()),
      [name],
    )
  }
})

test("[CFG-12] a command line that cannot be meant so exits 64 and names the next step", async () => {
  const wrong = [
    [],
    ["vlidate"],
    ["validate"],
    ["validate", "--nope"],
    ["validate", "-c", "x", "--kind", "nope"],
    ["config"],
  ]
  for (const args of wrong.slice(1)) {
    const { code, out, err } = await assay(args)
    assert.deepEqual([code, out], [64, ""], args.join(" "))
    if (args[0] !== "config") assert.match(err, /^assay: usage: .* \(next: assay .*--help\)\n$/)
  }
  assert.match((await assay(["vlidate"])).err, /did you mean "validate"\?/)
})

test("[CFG-12] what is given beyond what a command takes is wrong usage, and so are values that are none", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, GOOD)
  for (const [command, ...args] of [
    ["validate", "-c", file, "other.yaml"],
    ["status", "extra"],
    ["rotation abort", "x509", "--yes"],
    ["consumers list", "--kind", "foo"],
    ["consumers list", "--limit", "0"],
    ["rotation waive", "--all", "--reason", ""],
    ["audit search", "--identity", "web"],
    ["audit search", "--type", "refused"],
    ["api fetch x509", "--socket", "/run/api.sock"],
    ["api fetch jwt", "--audience", "a", "--spiffe-id", "web", "--socket", "unix:///run/api.sock"],
    ["status", "--server", "https://localhost:1", "--workload-api", "/run/api.sock"],
    ["policy explain", "-c", file, "--client", "web", "--audience", "a"],
    ["policy explain", "-c", file, "--client", "/a", "--audience", "a", "--scope", "a a"],
  ] as const) {
    const { code, out, err } = await assay([...command.split(" "), ...args])
    assert.deepEqual([code, out], [64, ""], `${command} ${args.join(" ")}: ${err}`)
    assert.ok(err.endsWith(` (next: assay ${command} --help)\n`), err)
  }
})

test("[CFG-12] a group of commands alone lists them and asks for one", async () => {
  const { code, err } = await assay(["rotation"])
  assert.equal(code, 64)
  assert.match(err, /^ {2}waive .*\nassay: usage: name one of its commands, .* \(next: assay rotation --help\)\n$/ms)
})

test("[CFG-12] help for a command that there is not names the nearest one that there is", async () => {
  for (const [command, meant, help] of [
    ["help nonsense", undefined, "assay"],
    ["help valdate", "validate", "assay"],
    ["valdate --help", "validate", "assay"],
    ["help rotation strt", "start", "assay rotation"],
    ["--verbose rotation strt -h", "start", "assay rotation"],
  ] as const) {
    const { code, out, err } = await assay(command.split(" "))
    assert.deepEqual([code, out], [64, ""], command)
    const hint = meant === undefined ? "" : `; did you mean "${meant}"\\?`
    assert.match(err, new RegExp(`^assay: usage: there is no command "[a-z ]+"${hint} \\(next: ${help} --help\\)\n$`))
  }
})

test("[CFG-11] the version is told, and help for a command by either name", async () => {
  for (const flag of ["--version", "-V"]) assert.match((await assay([flag])).out, /^\d+\.\d+\.\d+\S*\n$/)
  const flag = await assay(["rotation", "start", "--help"])
  assert.match(flag.out, /^Usage: assay rotation start /)
  assert.deepEqual(await assay(["help", "rotation", "start"]), flag)
})

test("[CFG-13] whatever the code, a failure says what to do next", () => {
  for (const code of ERROR_CODES) {
    const { text } = describeFailure(new IdentityError(code, "it failed"), { json: false, verbose: false })
    assert.match(text, /^assay: [a-z-]+: .* \(next: .+\)\n$/, code)
  }
})

test("[CFG-13] a failure is one line with code and next step, or one JSON object", async () => {
  const plain = await assay(["validate", "--config", "/nonexistent/assay.yaml"])
  assert.equal(plain.code, 66)
  assert.match(
    plain.err,
    /^assay: file-unreadable: configuration file \/nonexistent\/assay\.yaml cannot be read \(ENOENT\)[^\n]* \(next: [^\n]+\)\n$/,
  )
  const json = await assay(["validate", "--config", "/nonexistent/assay.yaml", "-o", "json"])
  assert.match(json.err, /^\{"error":\{"code":"file-unreadable","message":"[^"]*","next":"[^"]*"\}\}\n$/)
})

test("[CFG-13] a stack trace is printed with --verbose only, and a bug shows nothing else of itself", () => {
  const bug = new TypeError("secret detail")
  const quiet = describeFailure(bug, { json: false, verbose: false })
  assert.equal(
    quiet.text,
    "assay: internal: internal error (next: run again with --verbose, and report what it prints)\n",
  )
  assert.equal(quiet.exitCode, 70)
  assert.match(describeFailure(bug, { json: false, verbose: true }).text, /secret detail[\s\S]*at /)
  const known = new IdentityError("not-found", "no trust domain here")
  assert.match(describeFailure(known, { json: false, verbose: false }).text, /^assay: not-found: no trust .*assay init/)
})

test("[CFG-08] assay config schema prints the published schema", async () => {
  const { code, out } = await assay(["config", "schema", "agent"])
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(out), JSON.parse(await readFile("deploy/schema/agent.json", "utf8")))
})
