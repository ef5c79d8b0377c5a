import assert from "node:assert/strict"
import { posix } from "node:path"
import { test } from "node:test"
import { type ProjectFile, projectFiles } from "../support/project-files.ts"

/**
 * Where imports may go. `self` is the same folder of the layer, e.g. one adapter; `kernel` the shared transports;
 * `adapters/<name>` one adapter.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: ["core", "node:crypto"],
  ports: ["core", "ports"],
  app: ["core", "ports", "app", "node:crypto"],
  adapters: ["core", "ports", "gen", "self", "node:", "package"],
  transports: ["core", "ports", "app", "gen", "self", "kernel", "node:", "package"],
  client: [
    "client",
    "core",
    "ports",
    "app",
    "adapters/jose",
    "adapters/kube",
    "adapters/system",
    "adapters/workload-client",
    "node:",
    "package",
  ],
  gen: ["gen", "node:", "package"],
  main: ["core", "ports", "app", "adapters", "transports", "gen", "client", "main", "node:", "package"],
}

const KERNELS = ["transports/grpc", "transports/http"]
const SOURCES = projectFiles("src/**/*.ts")
const WRITTEN = SOURCES.filter(({ path }) => !path.startsWith("src/gen/"))

test("every import goes to where the layer table lets it", () => {
  assert.deepEqual(SOURCES.flatMap(strayImports), [])
})

test("every source file lies in a layer", () => {
  const lost = SOURCES.filter(({ path }) => MAY_IMPORT[layerOf(path)] === undefined)
  assert.deepEqual(
    lost.map(({ path }) => path),
    [],
  )
})

test("only app/attest makes an Attested", () => {
  assert.deepEqual(usersOf(/\bAttested\.witness\b/, ["src/app/attest/"]), [])
  assert.deepEqual(usersOf(/\bPrincipal\.witness\b/, ["src/app/attest/"]), [])
})

test("only app/issue redeems an IssuancePermit", () => {
  assert.deepEqual(usersOf(/\.redeem\(/, ["src/app/issue/"]), [])
})

test("no source file is longer than 400 lines", () => {
  const long = WRITTEN.filter(({ text }) => text.split("\n").length > 401)
  assert.deepEqual(
    long.map(({ path }) => path),
    [],
  )
})

test("no file is a default export, an index or a catch-all", () => {
  const named = WRITTEN.filter(({ path }) => /\/(index|types|utils|helpers|common)\.ts$/.test(path))
  const defaults = WRITTEN.filter(({ text }) => /^export default\b/m.test(text))
  assert.deepEqual(
    [...named, ...defaults].map(({ path }) => path),
    [],
  )
})

function strayImports(file: ProjectFile): readonly string[] {
  const allowed = MAY_IMPORT[layerOf(file.path)] ?? []
  return importsOf(file.text)
    .filter((specifier) => !kindsOf(file.path, specifier).some((kind) => allowed.includes(kind)))
    .map((specifier) => `${file.path} imports ${specifier}`)
}

/** Every name under which the layer table may allow this import. */
function kindsOf(from: string, specifier: string): readonly string[] {
  if (specifier.startsWith("node:")) return ["node:", specifier]
  if (!specifier.startsWith(".") || specifier.endsWith("/package.json")) return ["package"]
  const target = posix.join(posix.dirname(from), specifier)
  const layer = layerOf(target)
  if (layer !== "adapters" && layer !== "transports") return [layer]
  const kinds = [layer, folderOf(target)]
  if (folderOf(target) === folderOf(from)) kinds.push("self")
  if (KERNELS.includes(folderOf(target))) kinds.push("kernel")
  return kinds
}

function importsOf(text: string): readonly string[] {
  const statements = text.matchAll(
    /^(?:import|export)\b[^"'`]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"/gm,
  )
  return [...statements].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? "")
}

/** `src/<layer>/…` */
function layerOf(path: string): string {
  return path.split("/")[1] ?? ""
}

/** `<layer>/<folder>` */
function folderOf(path: string): string {
  return path.split("/").slice(1, 3).join("/")
}

function usersOf(use: RegExp, owners: readonly string[]): readonly string[] {
  return WRITTEN.filter(({ path, text }) => use.test(text) && !owners.some((owner) => path.startsWith(owner))).map(
    ({ path }) => path,
  )
}
