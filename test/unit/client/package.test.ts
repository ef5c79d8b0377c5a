import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { promisify } from "node:util"
import packageJson from "../../../package.json" with { type: "json" }
import { fences } from "../../support/markdown.ts"
import { PROJECT, projectFiles } from "../../support/project-files.ts"
import { makeScratch, type Scratch } from "../../support/scratch.ts"

const run = promisify(execFile)
const TSC = join(PROJECT, "node_modules/typescript/bin/tsc")

describe("the package as it is installed", { timeout: 120_000 }, () => {
  const stack = new AsyncDisposableStack()
  let scratch: Scratch
  before(async () => {
    scratch = stack.use(await makeScratch("package"))
    const installed = scratch.path("app/node_modules/assay")
    await mkdir(installed, { recursive: true })
    await copyFile(join(PROJECT, "package.json"), join(installed, "package.json"))
    await symlink(join(PROJECT, "node_modules"), scratch.path("node_modules"))
    await run(process.execPath, [TSC, "-p", join(PROJECT, "tsconfig.build.json"), "--outDir", join(installed, "dist")])
  })
  after(() => stack.disposeAsync())

  test("is imported by its name, and has everything that its source exports", async () => {
    await writeFile(scratch.path("app/names.mjs"), NAMES)
    const { stdout } = await run(process.execPath, [scratch.path("app/names.mjs")])
    const source = await import("../../../src/client/client.ts")
    assert.deepEqual(JSON.parse(stdout), Object.keys(source).sort())
  })

  test("says its types to whoever compiles against it", async () => {
    const options = { module: "nodenext", target: "es2024", lib: ["es2024", "esnext.disposable"], types: ["node"] }
    const config = {
      compilerOptions: { ...options, strict: true, noEmit: true },
      files: ["good.mts", "bad.mts", "readme.mts"],
    }
    await writeFile(scratch.path("app/tsconfig.json"), JSON.stringify(config))
    await writeFile(scratch.path("app/good.mts"), GOOD)
    await writeFile(scratch.path("app/bad.mts"), BAD)
    const [readme] = projectFiles("README.md")
    const snippets = fences(readme?.text ?? "").filter(({ language }) => language === "ts")
    assert.ok(snippets.length > 0)
    await writeFile(scratch.path("app/readme.mts"), snippets.map(({ text }) => text).join("\n"))
    const failed = await run(process.execPath, [TSC, "-p", scratch.path("app"), "--pretty", "false"]).then(
      () => "",
      (thrown: { readonly stdout: string }) => thrown.stdout,
    )
    const errors = failed.trim().split("\n")
    assert.equal(errors.length, 2, failed)
    for (const error of errors) assert.match(error, /bad\.mts\(\d+,\d+\): error TS2(322|345)/)
  })

  test("lets nobody import what is not meant to be", async () => {
    await writeFile(scratch.path("app/inside.mjs"), 'import "assay/dist/client/tls-material.js"\n')
    await assert.rejects(run(process.execPath, [scratch.path("app/inside.mjs")]), /ERR_PACKAGE_PATH_NOT_EXPORTED/)
    assert.deepEqual(Object.keys(packageJson.exports), ["./client", "./package.json"])
  })
})

test("the client library pulls in no server, and nothing but its three packages", () => {
  const seen = new Set<string>()
  const packages = new Set<string>()
  const follow = (path: string): void => {
    if (seen.has(path)) return
    seen.add(path)
    const [file] = projectFiles(path)
    assert.ok(file !== undefined, path)
    for (const [, specifier = ""] of file.text.matchAll(/\bfrom "([^"]+)"|\bimport\("([^"]+)"\)/g)) {
      if (specifier.startsWith(".")) follow(join(path, "..", specifier))
      else if (!specifier.startsWith("node:")) packages.add(specifier.replace(/^(@[^/]+\/[^/]+|[^/]+).*$/, "$1"))
    }
  }
  follow("src/client/client.ts")
  assert.deepEqual([...packages].sort(), ["@bufbuild/protobuf", "@grpc/grpc-js", "jose"])
  const layers = new Set([...seen].map((path) => path.split("/")[1] ?? ""))
  assert.deepEqual(layers, new Set(["adapters", "app", "client", "core", "gen", "ports"]))
})

const NAMES = 'import * as client from "assay/client"\nconsole.log(JSON.stringify(Object.keys(client).sort()))\n'
const GOOD = `import { createServer } from "node:https"
import { connect } from "node:tls"
import { type Authorize, authorizeId, makeTlsServer, openX509Source, tlsClientOptions } from "assay/client"
const own: Authorize = (id) => id.endsWith("/web")
await using source = await openX509Source({ socket: "/run/a.sock" })
makeTlsServer(source, own, (tls) => createServer(tls)).on("request", (_request, response) => response.end()).listen(0)
connect({ ...tlsClientOptions(source, authorizeId("spiffe://prod.example/a")), port: 1 })
`
const BAD = `import { authorizeId, openX509Source, tlsClientOptions } from "assay/client"
const source = await openX509Source()
tlsClientOptions(source, async () => true)
const id: string = authorizeId("spiffe://prod.example/a")
`
