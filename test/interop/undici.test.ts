import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { authorizeAny, authorizeId, type Connector, makeConnector } from "../../src/client/client.ts"
import { makeFakeHolder } from "../support/fake-holder.ts"
import { startMtlsService } from "../support/mtls-service.ts"
import { makeTestCa } from "../support/test-ca.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const DB = "spiffe://example.org/ns/demo/sa/db"

interface Undici {
  readonly Agent: new (options: { readonly connect: Connector }) => { close(): Promise<void> }
  readonly fetch: (url: string, init: { readonly dispatcher: unknown }) => Promise<Response>
}

/** Assay does not depend on it; another package may have brought it. */
const undici = await import("undici" as string).then(
  (found: Undici) => found,
  () => undefined,
)

describe("undici, with a connector of ours", {
  skip: undici === undefined && "undici is not installed",
  timeout: 20_000,
}, () => {
  const ca = makeTestCa()

  test("fetches from a service that it knows by its SPIFFE ID, across a rotation, and from no other", async () => {
    assert.ok(undici !== undefined)
    const { Agent, fetch } = undici
    const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
    await using service = await startMtlsService("https", db, authorizeId(WEB))
    const url = `https://127.0.0.1:${service.port}/`
    const dispatcher = new Agent({ connect: makeConnector(web, authorizeId(DB)) })
    for (const rotate of [() => undefined, () => web.rotate(), () => db.rotate()]) {
      rotate()
      assert.equal(await (await fetch(url, { dispatcher })).text(), WEB)
    }
    await dispatcher.close()
    const strict = new Agent({ connect: makeConnector(web, authorizeId(WEB)) })
    await assert.rejects(fetch(url, { dispatcher: strict }), (error: Error) => /not allowed/.test(String(error.cause)))
    await strict.close()
    const stranger = new Agent({ connect: makeConnector(makeFakeHolder(makeTestCa(), WEB, [ca]), authorizeAny()) })
    await assert.rejects(fetch(url, { dispatcher: stranger }))
    await stranger.close()
  })
})
