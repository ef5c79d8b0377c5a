import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { openLiveWorkload } from "../support/live-workload.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { runPySpiffe, startPySpiffe } from "../support/peers/py-spiffe.ts"
import { eventIds, eventSerials } from "../support/peers/workload-events.ts"
import { makeTestCa } from "../support/test-ca.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"

describe("py-spiffe, unmodified, at the Workload API", { skip: await skipWithout("py-spiffe") }, () => {
  const ca = makeTestCa()
  const jwtKey = makeJwtKey()

  test("fetches an X.509-SVID and its bundle", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const { code, events, error } = await runPySpiffe("x509", web.socket)
    assert.equal(code, 0, error)
    assert.deepEqual(events.map(eventIds), [[WEB]])
    assert.deepEqual(events[0]?.["bundles"], { "example.org": 1 })
  })

  test("fetches both kinds of bundles", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const { code, events, error } = await runPySpiffe("bundles", web.socket)
    assert.equal(code, 0, error)
    assert.deepEqual(events, [{ event: "bundles", x509: { "example.org": 1 }, jwt: { "example.org": 1 } }])
  })

  test("[WA-18] fetches both kinds of bundles beside trust domains that have only one of them, or none", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const [x509, jwt, none] = ["x509.example", "jwt.example", "none.example"].map(parseTrustDomain)
    assert.ok(x509 !== undefined && jwt !== undefined && none !== undefined)
    const state = web.source.current()
    assert.ok(state.kind === "ready")
    const { snapshot, svids } = state.view
    const empty = { x509Authorities: [], jwtAuthorities: [], sequence: 1, refreshHint: undefined }
    const federated = [
      { ...empty, trustDomain: x509, x509Authorities: makeTestCa().bundle.x509Authorities },
      { ...empty, trustDomain: jwt, jwtAuthorities: [makeJwtKey().authority] },
      { ...empty, trustDomain: none },
    ]
    const federatesWith = [x509, jwt, none]
    web.source.ready({ snapshot: { ...snapshot, federated }, svids: svids.map((svid) => ({ ...svid, federatesWith })) })
    const both = await runPySpiffe("bundles", web.socket)
    assert.equal(both.code, 0, both.error)
    const [x509Bundles, jwtBundles] = [
      { "example.org": 1, "x509.example": 1 },
      { "example.org": 1, "jwt.example": 1 },
    ]
    assert.deepEqual(both.events, [{ event: "bundles", x509: x509Bundles, jwt: jwtBundles }])
    const { code, events, error } = await runPySpiffe("x509", web.socket)
    assert.equal(code, 0, error)
    assert.deepEqual(events[0]?.["bundles"], x509Bundles)
  })

  test("sees three rotations on one stream, the last to another root", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using watch = await startPySpiffe("watch", web.socket, ["--updates", "4"])
    const next = makeTestCa()
    for (const [index, rotate] of [web.rotate, web.rotate, () => web.rotate(next, ca)].entries()) {
      await watch.waitFor((event) => event.event === "update", 20_000, index)
      rotate()
    }
    assert.equal(await watch.ended, 0, watch.logTail())
    assert.equal(new Set(watch.events.flatMap(eventSerials)).size, 4)
    assert.deepEqual(watch.events[3]?.["bundles"], { "example.org": 2 })
  })

  test("fetches a JWT-SVID and validates it locally and by the agent", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const { code, events, error } = await runPySpiffe("jwt", web.socket, ["--audience", "db"])
    assert.equal(code, 0, error)
    assert.equal(events[0]?.["id"], WEB)
    assert.deepEqual(events[0]?.["audience"], ["db"])
  })

  test("is told PermissionDenied when the workload has no identity", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    web.source.deny()
    const { code, error } = await runPySpiffe("x509", web.socket)
    assert.equal(code, 1)
    assert.match(error, /no identity issued|PERMISSION_DENIED/)
  })
})
