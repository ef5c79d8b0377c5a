import assert from "node:assert/strict"
import { test } from "node:test"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import { proveFreshKey } from "../support/identity-peer.ts"
import { jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { rule, table } from "../support/rule-table.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { openPipelineUnderTest } from "../support/server-under-test.ts"

test("[ISS-09] a retry of the same request gets the same certificate, and no second one is signed", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  const first = await fixture.issueX509(request, NEVER)
  await fixture.clock.advance(30)
  const second = await fixture.issueX509({ ...request, requestId: "r2" }, NEVER)
  assert.deepEqual(second, first)
  assert.equal(fixture.signed.length, 1)
})

test("[ISS-09] a retry gets the same certificate with its own chain, although another authority signs by now", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  const first = await fixture.issueX509(request, NEVER)
  await fixture.issuing.rotate()
  assert.deepEqual((await fixture.issueX509(request, NEVER)).chain, first.chain)
})

test("[ISS-09] another key, identity, lifetime or token is another request", async () => {
  const fixture = await openIssueFixture()
  fixture.rules = table(["a", "b"].map((name) => rule({ name, spiffeId: `/${name}`, hint: name })))
  const request = x509Request()
  const other = { spiffeId: parseSpiffeId("spiffe://prod.example/b") }
  const serials = new Set<string>()
  for (const change of [{}, { ttl: 60 }, other, x509Request({ token: "t2" }), x509Request()]) {
    const svid = await fixture.issueX509({ ...request, ...change }, NEVER)
    serials.add(svid.serial)
  }
  assert.equal(serials.size, 5)
})

test("[ISS-09] a retry after a minute, or after a quarter of a shorter life, gets a new certificate", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  const first = await fixture.issueX509(request, NEVER)
  await fixture.clock.advance(61)
  assert.notEqual((await fixture.issueX509(request, NEVER)).serial, first.serial)
  const short = { ...request, ttl: 20 }
  const brief = await fixture.issueX509(short, NEVER)
  await fixture.clock.advance(6)
  const renewed = await fixture.issueX509(short, NEVER)
  assert.notEqual(renewed.serial, brief.serial)
  assert.equal(renewed.notAfter, fixture.clock.now() + 20)
})

test("[ISS-09] a retry of a request whose outcome was lost gets a new certificate, and both are in the log", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  fixture.store.onWrite = (write) => (write === "outcome" ? "lost" : "none")
  const first = await fixture.issueX509(request, NEVER)
  fixture.store.onWrite = () => "none"
  const second = await fixture.issueX509(request, NEVER)
  assert.notEqual(second.serial, first.serial)
  const logged = await fixture.store.issuanceLog.search({ limit: 10 })
  assert.deepEqual(logged.map(({ intent }) => intent.serial).sort(), [first.serial, second.serial].sort())
})

test("[ISS-10] the same request many times at once is signed once, and all get that certificate", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  const svids = await Promise.all(Array.from({ length: 50 }, () => fixture.issueX509(request, NEVER)))
  assert.equal(new Set(svids.map(({ serial }) => serial)).size, 1)
  assert.equal(fixture.signed.length, 1)
})

test("[ISS-10] the same request many times at once fails together when its intent cannot be written, and works after", async () => {
  const fixture = await openIssueFixture()
  const request = x509Request()
  fixture.store.onWrite = (write) => (write === "intent" ? "lost" : "none")
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => fixture.issueX509(request, NEVER)))
  assert.ok(outcomes.every(({ status }) => status === "rejected"))
  fixture.store.onWrite = () => "none"
  await fixture.issueX509(request, NEVER)
  assert.equal(fixture.signed.length, 1)
})

test("[ISS-10] every token is a new one, however alike the requests are", async () => {
  const fixture = await openIssueFixture()
  const tokens = await Promise.all(Array.from({ length: 20 }, () => fixture.issueJwt(jwtRequest(), NEVER)))
  assert.equal(new Set(tokens.map(({ token }) => token)).size, 20)
})

test("[ISS-09] a retry gets the same certificate from the next process over the same store", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const token = setup.token()
  const { publicKey, proof } = proveFreshKey(token)
  const request = x509Request({ token, key: { kind: "proven-key", publicKey, proof } })
  const issueOnce = async (fresh: boolean) => {
    await using server = await openPipelineUnderTest({ setup, init: fresh })
    return await server.pipeline.issueX509(request, NEVER)
  }
  const first = await issueOnce(true)
  assert.deepEqual(await issueOnce(false), first)
})
