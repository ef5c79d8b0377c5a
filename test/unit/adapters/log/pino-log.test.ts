import assert from "node:assert/strict"
import test from "node:test"
import { openLog } from "../../../../src/adapters/log/pino-log.ts"
import { IdentityError } from "../../../../src/core/errors.ts"

const TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzcGlmZmU6Ly9hL2IifQ.c2lnbmF0dXJl"

function capture(level: "debug" | "info") {
  const lines: string[] = []
  const log = openLog(level, { write: (line: string) => void lines.push(line) })
  return { log, lines, last: (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? "{}") }
}

test("[INV-33] a token or a private key in a field, a message or a cause chain is not written", () => {
  const { log, lines } = capture("info")
  const pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"
  const err = new IdentityError("internal", `bad ${TOKEN}`, { cause: new Error(`from ${TOKEN} and ${pem}`) })
  log.info({ header: `Bearer ${TOKEN}`, err }, `got ${TOKEN}`)
  const text = lines.join("")
  for (const part of TOKEN.split(".").slice(0, 2)) assert.ok(!text.includes(part))
  assert.ok(!text.includes("MIGHAgEAMBMGByqGSM49"))
  assert.ok(text.includes("[token]") && text.includes("[pem]"))
})

test("writes the cause chain, and a stack only for what is not an expected failure", () => {
  const { log, last } = capture("info")
  log.error({ err: new IdentityError("not-ready", "outer", { cause: new Error("inner") }) }, "failed")
  const err = last()["error"] as { stack?: string; cause: { message: string; stack?: string } }
  assert.equal(err.stack, undefined)
  assert.equal(err.cause.message, "inner")
  assert.match(err.cause.stack ?? "", /pino-log\.test/)
})

test("writes nothing below its level, and follows a changed level", () => {
  const { log, lines } = capture("info")
  log.debug({}, "hidden")
  assert.equal(lines.length, 0)
  log.setLevel("debug")
  log.debug({}, "shown")
  assert.equal(lines.length, 1)
})
