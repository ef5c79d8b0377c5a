import assert from "node:assert/strict"
import { test } from "node:test"
import { allKeys, configJsonSchema } from "../../src/main/config/json-schema.ts"
import { type ProjectFile, projectFiles } from "../support/project-files.ts"
import { citedIds, rulesOf } from "../support/spec-rules.ts"

const PAGES = ["SECURITY.md", "spec/threat-model.md", "spec/divergences.md", "spec/architecture.md"]
const STATES = new Map(
  projectFiles("spec/*.md")
    .flatMap(rulesOf)
    .map(({ id, state }) => [id, state]),
)
const TESTED = new Set(projectFiles("test/**/*.test.ts").flatMap(({ text }) => citedIds(text)))
const SECURITY = pageAt("SECURITY.md")

for (const path of PAGES) {
  test(`every rule that ${path} cites exists`, () => {
    const cited = citedRules(pageAt(path).text)
    assert.deepEqual(
      cited.filter((id) => !STATES.has(id)),
      [],
    )
    assert.ok(cited.length > 0)
  })
}

for (const path of ["SECURITY.md", "spec/threat-model.md"]) {
  test(`every rule that ${path} relies on has a test`, () => {
    const untested = citedRules(pageAt(path).text).filter((id) => STATES.get(id) !== "tested" || !TESTED.has(id))
    assert.deepEqual(untested, [])
  })
}

test("every promise cites a rule", () => {
  const promises = section("3. Promises")
    .split(/^(?=\d+\. )/m)
    .slice(1)
  assert.ok(promises.length >= 8 && promises.length <= 12)
  assert.deepEqual(
    promises.filter((promise) => citedRules(promise).length === 0),
    [],
  )
})

test("every setting of the hardening checklist is a configuration key of the process it names", () => {
  const named = [...section("10. Hardening checklist").matchAll(/`(server|agent): ([^`]+)`/g)]
  const keys = { server: keysOf("server"), agent: keysOf("agent") }
  const unknown = named.filter(([, kind, key = ""]) => !keys[kind === "server" ? "server" : "agent"].has(key))
  assert.deepEqual(
    unknown.map(([text]) => text),
    [],
  )
  assert.ok(named.length >= 10)
})

test("every configuration key that says that it weakens security is in the hardening checklist", () => {
  const checklist = section("10. Hardening checklist")
  const weakening = (["server", "agent"] as const).flatMap((kind) =>
    [...allKeys(configJsonSchema(kind))]
      .filter(({ description }) => /weakens security|without TLS|without authentication/.test(description))
      .map(({ key }) => `\`${kind}: ${key}\``),
  )
  assert.ok(weakening.length >= 2)
  assert.deepEqual(
    weakening.filter((setting) => !checklist.includes(setting)),
    [],
  )
})

test("SECURITY.md has its 14 sections, in order", () => {
  const titles = [...SECURITY.text.matchAll(/^## (\d+)\. /gm)].map(([, number]) => Number(number))
  assert.deepEqual(
    titles,
    Array.from({ length: 14 }, (_, i) => i + 1),
  )
})

function pageAt(path: string): ProjectFile {
  const [file] = projectFiles(path)
  assert.ok(file !== undefined, `${path} is missing`)
  return file
}

/** From the heading with this title to the next one of its level. */
function section(title: string): string {
  const [, text] = SECURITY.text.split(`## ${title}\n`)
  assert.ok(text !== undefined, `SECURITY.md has no section ${title}`)
  return text.split("\n## ")[0] ?? ""
}

function keysOf(kind: "server" | "agent"): ReadonlySet<string> {
  return new Set([...allKeys(configJsonSchema(kind))].map(({ key }) => key))
}

/** Ids have two digits, which nothing else in these pages has; `STO-10 to STO-17` stands for all of them. */
function citedRules(text: string): readonly string[] {
  const ranges = [...text.matchAll(/\b([A-Z][A-Z0-9]*)-(\d+) to \1-(\d+)\b/g)].flatMap(([, prefix, from, to]) =>
    Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => idOf(prefix, Number(from) + i)),
  )
  const single = [...text.matchAll(/\b([A-Z][A-Z0-9]*)-(\d{2})\b/g)].map(([, prefix, number]) =>
    idOf(prefix, Number(number)),
  )
  return [...new Set([...single, ...ranges])]
}

function idOf(prefix: string | undefined, number: number): string {
  return `${prefix}-${String(number).padStart(2, "0")}`
}
