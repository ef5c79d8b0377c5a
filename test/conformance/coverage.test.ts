import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { ERROR_CODES } from "../../src/core/errors.ts"
import { GRPC_STATUS } from "../../src/transports/grpc/status.ts"
import { PROJECT, type ProjectFile, projectFiles } from "../support/project-files.ts"
import { brokenRuleLines, citedIds, type Rule, rulesOf, titleIds } from "../support/spec-rules.ts"

const SELF = "test/conformance/coverage.test.ts"
const CHAPTERS = projectFiles("spec/*.md")
const CONFORMANCE = projectFiles("test/conformance/*.test.ts").filter(({ path }) => path !== SELF)
const TESTS = projectFiles("test/**/*.test.ts")
const RULES = CHAPTERS.flatMap(rulesOf)
const KNOWN = new Set(RULES.map(({ id }) => id))

test("every rule of spec/ has a test whose title cites it, unless it says why not", () => {
  const cited = new Set(TESTS.flatMap(({ text }) => citedIds(text)))
  const missing = RULES.filter(({ id, state }) => state === "tested" && !cited.has(id))
  assert.deepEqual(missing.map(describe), [])
})

test("every rule line is well formed: a list item with an id, and a state only as exception or todo", () => {
  const broken = CHAPTERS.flatMap(brokenRuleLines)
  assert.deepEqual(broken, [])
})

test("no rule id stands for two rules", () => {
  const seen = new Map<string, Rule>()
  const twice = RULES.filter((rule) => {
    const first = seen.get(rule.id)
    seen.set(rule.id, first ?? rule)
    return first !== undefined
  })
  assert.deepEqual(twice.map(describe), [])
})

test("a rule that has a test is not marked as an exception or a todo", () => {
  const cited = new Set(CONFORMANCE.flatMap(({ text }) => titleIds(text)))
  const stale = RULES.filter(({ id, state }) => state !== "tested" && cited.has(id))
  assert.deepEqual(stale.map(describe), [])
})

test("every conformance test cites rules, and only rules that exist", () => {
  const silent = CONFORMANCE.flatMap(({ path, text }) =>
    literalTitles(text)
      .filter((title) => !/^(\[[A-Z]|\[?\$\{)/.test(title))
      .map((title) => `${path}: ${title}`),
  )
  assert.deepEqual(silent, [])
  const unknown = CONFORMANCE.flatMap(({ path, text }) =>
    titleIds(text)
      .filter((id) => !KNOWN.has(id))
      .map((id) => `${id} in ${path}`),
  )
  assert.deepEqual([...new Set(unknown)], [])
})

test("every chapter names the prefixes it owns, and no rule stands in a foreign chapter", () => {
  const foreign = CHAPTERS.flatMap((chapter) => {
    const rules = rulesOf(chapter)
    const head = chapter.text.split("\n").slice(0, 6).join("\n")
    return rules.filter(({ id }) => !new RegExp(`\\b${id.replace(/-\d+$/, "")}\\b`).test(head)).map(describe)
  })
  assert.deepEqual(foreign, [])
})

test("no relative link of spec/ or of the documents at the top is dead", () => {
  const documents = [...projectFiles("*.md"), ...projectFiles("spec/**/*.md")]
  assert.deepEqual(documents.flatMap(deadLinks), [])
})

test("[ERR-01] spec/90-errors.md lists every error code and no other", () => {
  assert.deepEqual(
    errorTable()
      .map(([code]) => code)
      .sort(),
    [...ERROR_CODES].sort(),
  )
})

test("[ERR-02] each error code has the gRPC status that spec/90-errors.md says", () => {
  const expected = Object.fromEntries(errorTable())
  for (const code of ERROR_CODES) assert.equal(STATUS_NAMES[GRPC_STATUS[code]], expected[code], code)
})

/** Titles that stand in the call itself; those from a table are covered by {@link citedIds}. */
function literalTitles(text: string): readonly string[] {
  return [...text.matchAll(/^\s*test\(\s*(?:"([^"]*)"|`([^`]*)`)/gm)].map(
    ([, plain, template]) => plain ?? template ?? "",
  )
}

function deadLinks({ path, text }: ProjectFile): readonly string[] {
  const targets = [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)].flatMap(([, target]) => target ?? [])
  return targets
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
    .filter((target) => !existsSync(join(PROJECT, dirname(path), decodeURIComponent(target))))
    .map((target) => `${path}: ${target}`)
}

function errorTable(): readonly (readonly [code: string, status: string])[] {
  const text = CHAPTERS.find(({ path }) => path === "spec/90-errors.md")?.text ?? ""
  return [...text.matchAll(/^\| `([a-z-]+)` \| (\w+) \|/gm)].map(([, code, status]) => [code ?? "", status ?? ""])
}

function describe({ id, path }: Rule): string {
  return `${id} in ${path}`
}

const STATUS_NAMES: Readonly<Record<number, string>> = {
  1: "Cancelled",
  3: "InvalidArgument",
  4: "DeadlineExceeded",
  5: "NotFound",
  6: "AlreadyExists",
  7: "PermissionDenied",
  8: "ResourceExhausted",
  10: "Aborted",
  12: "Unimplemented",
  13: "Internal",
  14: "Unavailable",
  16: "Unauthenticated",
}
