import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { test } from "node:test"
import { promisify } from "node:util"

/** What each of these costs, every process that loads it pays for as long as it lives. */
const FOR_NOBODY_AT_REST = [
  "internal/deps/undici",
  "/fastify/",
  "/koffi/",
  "/@kubernetes/client-node/",
  "/@peculiar/",
  "/jose/dist/webapi/jwks/",
]

for (const [command, further] of [
  ["server", []],
  ["agent", ["/prom-client/", "/@marcbachmann/cel-js/", "/main/config/server-schema.ts", "/main/server/"]],
  ["status", ["/prom-client/"]],
] as const) {
  test(`assay ${command} loads at its start nothing that it may never use`, async () => {
    const loaded = await loadedBy(`commands/${command}.ts`)
    assert.ok(loaded.some((module) => module.endsWith(`/main/commands/${command}.ts`)))
    const unwanted = [...FOR_NOBODY_AT_REST, ...further]
    assert.deepEqual(
      loaded.filter((module) => unwanted.some((part) => module.includes(part))),
      [],
    )
  })
}

test("the library that only reads certificates is not loaded for Node's own WebCrypto", async () => {
  const loaded = await loadedBy("server/state.ts", 'await (await import(PROVIDER)).chooseCryptoProvider("native")')
  assert.deepEqual(
    loaded.filter((module) => module.includes("/@peculiar/")),
    [],
  )
})

/** Modules, of Node and of files, in a new process that imported `path` of src/main and then ran `then`. */
async function loadedBy(path: string, then = ""): Promise<readonly string[]> {
  const script = `
    import { registerHooks } from "node:module"
    const files = new Set()
    registerHooks({ resolve: (...[name, context, next]) => {
      const found = next(name, context)
      files.add(found.url)
      return found
    } })
    const PROVIDER = ${urlOf("../adapters/webcrypto/provider.ts")}
    await import(${urlOf(path)})
    ${then}
    process.stdout.write(JSON.stringify([...files, ...process.moduleLoadList]))`
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { maxBuffer: 1024 * 1024 })
  const loaded: unknown = JSON.parse(stdout)
  assert.ok(Array.isArray(loaded))
  return loaded.map(String)
}

function urlOf(path: string): string {
  return JSON.stringify(new URL(`../../../src/main/${path}`, import.meta.url).href)
}

const run = promisify(execFile)
