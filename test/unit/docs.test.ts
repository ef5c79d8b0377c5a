import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { dirname, join, normalize } from "node:path"
import { test } from "node:test"
import { promisify } from "node:util"
import { parseAllDocuments } from "yaml"
import packageJson from "../../package.json" with { type: "json" }
import { buildProgram } from "../../src/main/cli.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { codeSpans, type Fence, fences, headingFragments, relativeLinks } from "../support/markdown.ts"
import { PROJECT, type ProjectFile, projectFiles } from "../support/project-files.ts"
import { blocksOf, runbooks } from "../support/runbook.ts"
import { makeScratch } from "../support/scratch.ts"

const DOCUMENTS = [...projectFiles("*.md"), ...projectFiles("{spec,deploy,proto,test}/**/*.md")]
const README = documentAt("README.md")

test("no link of a document leads to a missing file or heading", () => {
  assert.deepEqual(DOCUMENTS.flatMap(deadLinks), [])
})

test("every file or folder of the project that a top-level document names is there", () => {
  const missing = projectFiles("*.md").flatMap(({ path, text }) =>
    codeSpans(text)
      .filter((span) => /^(src|test|spec|deploy|proto|\.ci)\/[\w./-]*$/.test(span))
      .filter((span) => !existsSync(join(PROJECT, span)))
      .map((span) => `${path}: ${span}`),
  )
  assert.deepEqual(missing, [])
})

test("assay validate accepts the README's configurations, without a warning", async () => {
  const servers = fencesNamed("assay.yaml").map(({ text }) => ({ text, kind: "server" }))
  const agents = fencesNamed("agent.yaml").map(({ text }) => ({ text, kind: "agent" }))
  assert.ok(servers.length >= 2 && agents.length >= 1)
  await using scratch = await makeScratch()
  for (const [i, { text, kind }] of [...servers, ...agents].entries()) {
    const file = scratch.path(`${i}.yaml`)
    await writeFile(file, text)
    const { stdout, stderr } = await runNode(join(PROJECT, "src/main/cli.ts"), "validate", "-c", file, "--kind", kind)
    assert.deepEqual([stdout, stderr], [`${file}: valid\n`, ""])
  }
})

test("every YAML block of the top-level documents parses", () => {
  const blocks = projectFiles("*.md").flatMap(({ path, text }) =>
    fencesIn(text, "yaml").map((fence) => ({ path, ...fence })),
  )
  assert.ok(blocks.length > 0)
  for (const { path, text, line } of blocks) {
    for (const document of parseAllDocuments(text)) assert.deepEqual(document.errors, [], `${path}:${line}`)
  }
})

test("the test that CONTRIBUTING shows passes", async () => {
  const blocks = fencesIn(documentAt("CONTRIBUTING.md").text, "ts")
  assert.equal(blocks.length, 1)
  await using scratch = await makeScratch()
  const file = scratch.path("example.test.ts")
  await writeFile(file, blocks.map(({ text }) => text.replaceAll('"../../', `"${PROJECT}`)).join("\n"))
  const { stdout } = await runNode("--test", "--test-reporter", "tap", file)
  assert.match(stdout, /^# pass 1$/m)
})

test("the README's pod mounts what its agent reads: token, socket and bundle", () => {
  const [agentBlock] = fencesNamed("agent.yaml")
  const [pod] = fencesNamed("pod.yaml")
  assert.ok(agentBlock !== undefined && pod !== undefined)
  const agent = parseAgentConfig(agentBlock.text, "README.md")
  assert.equal(agent.bootstrap.kind, "bundle-file")
  const paths = [agent.tokenFile, agent.socket.path, agent.bootstrap.kind === "bundle-file" ? agent.bootstrap.file : ""]
  for (const path of paths) assert.match(pod.text, new RegExp(`mountPath: ${dirname(path)}\\b`), path)
  assert.match(pod.text, new RegExp(`value: "unix://${agent.socket.path}"`))
})

test("the README's curl asks for a token under a name that the server's certificate has", () => {
  const [config] = fencesNamed("assay.yaml, with tokens")
  const [, host] = /curl .* https:\/\/([a-z.]+):8444\/token/.exec(README.text) ?? []
  assert.ok(config !== undefined && host !== undefined)
  assert.match(config.text, new RegExp(`^  dns_names: \\[${host}\\]$`, "m"))
})

test("the README's Envoy blocks stand in the files of deploy/envoy that they name", () => {
  const blocks = fences(README.text).flatMap((block) => {
    const [, path] = /^# in an? \w+, from (deploy\/\S+)$/m.exec(block.text) ?? []
    return path === undefined ? [] : [{ path, text: block.text }]
  })
  assert.equal(blocks.length, 2)
  for (const { path, text } of blocks) {
    const whole = squeeze(documentAt(path).text)
    for (const line of text.split("\n").slice(1)) assert.ok(whole.includes(squeeze(line)), `${path}: ${line}`)
  }
})

test("every command that a top-level document names exists, and the README lists all of them", async () => {
  const known = (await buildProgram([])).commands.map((command) => command.name())
  const named = projectFiles("*.md").flatMap(({ text }) => commandsIn(text))
  assert.deepEqual(
    [...new Set(named)].filter((name) => !known.includes(name)),
    [],
  )
  const table = [...README.text.matchAll(/^\| `assay (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(new Set(table), new Set(known))
})

test("every npm script that a top-level document names exists", () => {
  const known: readonly string[] = Object.keys(packageJson.scripts)
  const named = projectFiles("*.md").flatMap(({ text }) => [...text.matchAll(/npm run (?:-s )?([\w:]+)/g)])
  const missing = named.flatMap(([, script]) => (script === undefined || known.includes(script) ? [] : [script]))
  assert.deepEqual(missing, [])
  assert.ok(named.length > 0)
})

test("every dependency has a decision record, and their numbers are unique", () => {
  const records = projectFiles("spec/decisions/*.md")
  const text = records.map((record) => record.text).join("\n")
  const dependencies = [...Object.keys(packageJson.dependencies), ...Object.keys(packageJson.devDependencies)]
  assert.deepEqual(
    dependencies.filter((name) => !text.includes(`\`${name}\``)),
    [],
  )
  const numbers = records.map(({ path, text: body }) => {
    const [, number] = /\/(\d{4})-[a-z0-9-]+\.md$/.exec(path) ?? []
    assert.ok(number !== undefined && body.startsWith(`# ${number}: `), path)
    for (const heading of ["## Context", "## Decision", "## Consequences"]) assert.ok(body.includes(heading), path)
    return number
  })
  assert.equal(new Set(numbers).size, numbers.length)
})

test("spec/00-scope.md lists every chapter", () => {
  const listed = new Set(relativeLinks(documentAt("spec/00-scope.md").text).map((link) => `spec/${link}`))
  const chapters = projectFiles("spec/*.md").map(({ path }) => path)
  assert.deepEqual(
    chapters.filter((path) => path !== "spec/00-scope.md" && !listed.has(path)),
    [],
  )
})

test("every runbook stands in spec/00-scope.md, says what one sees and does, and has a drill that runs its commands", () => {
  const listed = new Set(relativeLinks(documentAt("spec/00-scope.md").text))
  const drills = new Map(projectFiles("test/drills/*.test.ts").map(({ path, text }) => [path, text]))
  const books = runbooks()
  assert.ok(books.length >= 7)
  for (const book of books) {
    assert.ok(listed.has(`runbooks/${book.name}.md`), `${book.path} is not listed`)
    assert.match(drills.get(`test/drills/${book.name}.test.ts`) ?? "", new RegExp(`^drill\\(\\n? *"${book.name}"`, "m"))
    const headings = [...book.text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
    for (const heading of ["What you see", "What to do", "What you will see", "How to undo"]) {
      assert.ok(headings.includes(heading), `${book.path} has no "${heading}"`)
    }
    assert.ok(blocksOf(book).length > 0, `${book.path} has no commands`)
  }
})

test("the changelog begins with what is unreleased, and there with security", () => {
  const [release, group] = [...documentAt("CHANGELOG.md").text.matchAll(/^##+ (.+)$/gm)].map(([, title]) => title)
  assert.deepEqual([release, group], ["Unreleased", "Security"])
})

function documentAt(path: string): ProjectFile {
  const [file] = projectFiles(path)
  assert.ok(file !== undefined, `${path} is missing`)
  return file
}

/** Blocks whose first line is a comment that begins with `name`. */
function fencesNamed(name: string): readonly Fence[] {
  return fences(README.text).filter(({ text }) => text.startsWith(`# ${name}`))
}

function fencesIn(markdown: string, language: string): readonly Fence[] {
  return fences(markdown).filter((fence) => fence.language === language)
}

/** This Node with these arguments, not as a part of the test run that goes on. */
function runNode(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return promisify(execFile)(process.execPath, args, { cwd: PROJECT, env, timeout: 30_000 })
}

function deadLinks({ path, text }: ProjectFile): readonly string[] {
  return relativeLinks(text).flatMap((link) => {
    const [target = "", fragment] = link.split("#")
    const file = target === "" ? path : normalize(join(dirname(path), decodeURIComponent(target)))
    if (!existsSync(join(PROJECT, file))) return [`${path}: ${link}`]
    if (fragment === undefined || !file.endsWith(".md")) return []
    return headingFragments(documentAt(file).text).has(fragment) ? [] : [`${path}: ${link}`]
  })
}

/** Names after `assay` in code: in spans, and at the start of lines of shell blocks. */
function commandsIn(markdown: string): readonly string[] {
  const shell = fencesIn(markdown, "sh")
  const lines = [...codeSpans(markdown), ...shell.flatMap(({ text }) => text.split("\n"))]
  return lines.flatMap((line) => /^assay ([a-z]+)/.exec(line)?.[1] ?? [])
}

/** Without comments and with single spaces, so that indentation does not matter. */
function squeeze(text: string): string {
  return text.replace(/ #.*$/gm, "").replace(/\s+/g, " ").trim()
}
