import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { CONTRACTS } from "../../src/transports/admin/contracts.ts"
import { openApiDocument } from "../../src/transports/admin/openapi.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"

test("[ADM-15] the published document and the one that a server shows are those of the operations in force", async () => {
  const published: unknown = JSON.parse(await readFile("deploy/openapi/admin.json", "utf8"))
  assert.deepEqual(published, JSON.parse(JSON.stringify(openApiDocument(CONTRACTS))), "npm run gen writes it")
  await using server = await openAdminUnderTest()
  const served = await server.raw({ path: "/admin/v1/openapi.json" })
  assert.equal(served.status, 200)
  assert.deepEqual(served.body, published)
  const stranger = await server.raw({ path: "/admin/v1/openapi.json", headers: {} })
  assert.equal(stranger.status, 401)
})

test("[ADM-15] every operation has its parameters where they are sent, and nothing twice", () => {
  const { paths } = openApiDocument(CONTRACTS) as { paths: Record<string, Record<string, Described>> } // our own document
  for (const contract of CONTRACTS) {
    const described = paths[`/admin/v1${contract.path}`]?.[contract.method.toLowerCase()]
    assert.equal(described?.operationId, contract.name)
    const names = described.parameters.map(({ name, in: place }) => `${place} ${name}`)
    assert.equal(new Set(names).size, names.length)
    for (const [, name] of contract.path.matchAll(/\{(\w+)\}/g)) assert.ok(names.includes(`path ${name}`))
    if (contract.method === "GET") assert.equal(described.requestBody, undefined)
  }
})

interface Described {
  readonly operationId: string
  readonly parameters: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: object
}
