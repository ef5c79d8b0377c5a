import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { openLog } from "../../src/adapters/log/pino-log.ts"
import { chooseLifetime, EVIDENCE_GRACE } from "../../src/app/issue/lifetime.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { type ProvenKeyPair, proveFreshKey } from "../support/identity-peer.ts"
import { FIXTURE_START, jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { openPipelineUnderTest } from "../support/server-under-test.ts"

const bounds = fc.record({
  now: fc.integer({ min: 1_700_000_000, max: 1_900_000_000 }),
  wanted: fc.option(fc.integer({ min: 1, max: 1_000_000 }), { nil: undefined }),
  granted: fc.integer({ min: 10, max: 100_000 }),
  issuerFrom: fc.integer({ min: -10_000, max: 100 }),
  issuerTo: fc.integer({ min: -100, max: 100_000 }),
  evidenceTo: fc.integer({ min: -5000, max: 100_000 }),
  jitter: fc.double({ min: 0, max: 0.5, noNaN: true }),
  fraction: fc.double({ min: 0, max: 1, noNaN: true }),
  backdate: fc.integer({ min: 0, max: 600 }),
})

test("[ISS-11] no credential outlives what was wanted, granted, its issuer, or its evidence and an hour", () => {
  fc.assert(
    fc.property(bounds, (given) => {
      const { now, wanted, granted } = given
      const issuerNotBefore = now + given.issuerFrom
      const issuerNotAfter = now + given.issuerTo
      const evidenceExpiresAt = now + given.evidenceTo
      const life = chooseLifetime({ ...given, issuerNotBefore, issuerNotAfter, evidenceExpiresAt })
      const most = Math.min(granted, wanted ?? granted)
      const end = Math.min(now + most, issuerNotAfter, evidenceExpiresAt + EVIDENCE_GRACE)
      if (life === undefined) return assert.ok(end <= now)
      assert.ok(life.notAfter <= end && life.notAfter > now)
      assert.ok(life.notAfter >= Math.min(end, now + Math.floor(most * (1 - given.jitter))))
      assert.ok(life.notBefore >= issuerNotBefore && life.notBefore >= now - given.backdate)
    }),
  )
})

test("[ISS-11] the bounds are those of the certificate and the token that are handed out", async () => {
  const fixture = await openIssueFixture({ issuingTtl: 1000 })
  const leafOf = async (ttl: number | undefined) => {
    const { chain, notAfter } = await fixture.issueX509(x509Request({ ttl }), NEVER)
    const leaf = parseCertificate(chain[0] ?? new Uint8Array())
    assert.equal(leaf.notAfter, notAfter)
    return leaf
  }
  assert.equal((await leafOf(100)).notAfter, FIXTURE_START + 100)
  assert.equal((await leafOf(100)).notBefore, FIXTURE_START - 10)
  assert.equal((await leafOf(undefined)).notAfter, FIXTURE_START + 1000)
  fixture.caller = { expiresAt: FIXTURE_START - EVIDENCE_GRACE + 50 }
  assert.equal((await leafOf(undefined)).notAfter, FIXTURE_START + 50)
  const { token, expiresAt } = await fixture.issueJwt(jwtRequest({ ttl: 400 }), NEVER)
  const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
  assert.deepEqual([exp, expiresAt], [FIXTURE_START + 50, FIXTURE_START + 50])
})

test("[ISS-12] an identity at its limit, and then all together, are told when to come back, and nothing is recorded", async () => {
  const fixture = await openIssueFixture()
  fixture.limits = { perIdentity: { perSecond: 0.2, burst: 2 }, global: { perSecond: 0.1, burst: 3 } }
  await fixture.issueX509(x509Request(), NEVER)
  await fixture.issueJwt(jwtRequest(), NEVER)
  const limited = (retryAfter: number) => (thrown: unknown) =>
    refusal("rate-limited")(thrown) &&
    thrown instanceof Error &&
    "retryAfter" in thrown &&
    thrown.retryAfter === retryAfter
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), limited(5))
  fixture.caller = { serviceAccount: "other" }
  await fixture.issueX509(x509Request(), NEVER)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), limited(10))
  assert.equal((await fixture.store.issuanceLog.search({ limit: 10 })).length, 3)
})

test("[ISS-13] neither store nor log holds a platform token, a JWT-SVID, its signature, or a private key", async () => {
  const lines: string[] = []
  const log = openLog("debug", { write: (line) => void lines.push(line) })
  await using server = await openPipelineUnderTest({ log })
  const token = server.setup.token()
  const key = proveFreshKey(token)
  const { publicKey, proof } = key
  const request = { token, spiffeId: undefined, ttl: undefined, requestId: "r1" }
  await server.pipeline.issueX509({ ...request, key: { kind: "proven-key", publicKey, proof } }, NEVER)
  const jwt = await server.pipeline.issueJwt({ ...request, audience: ["db"] }, NEVER)
  await assert.rejects(server.pipeline.issueJwt({ ...request, token: `${token}x`, audience: ["db"] }, NEVER))
  await server.state.store.issuanceLog.flush()
  const files = await filesBelow(server.setup.folder)
  const written = Buffer.concat([
    ...(await Promise.all(files.map((file) => readFile(file)))),
    Buffer.from(lines.join("")),
  ])
  assert.ok(lines.length >= 3 && written.includes(jwt.spiffeId), "the scan sees what is written")
  assert.equal(written.includes(privateScalar(key)), false, "private key")
  const tail = (text: string) => text.slice(text.lastIndexOf(".") + 1)
  const secrets = { token, "end of token": tail(token), jwt: jwt.token, "end of jwt": tail(jwt.token) }
  for (const [name, secret] of Object.entries(secrets)) {
    assert.equal(written.includes(secret), false, name)
    assert.equal(written.includes(Buffer.from(tail(secret), "base64url")), false, `${name}, decoded`)
  }
})

test("[INV-21] signs nothing after the clock was set back, until it has caught up", async () => {
  const fixture = await openIssueFixture()
  fixture.clock.jumpWall(-3600)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), refusal("not-ready", "clock-jumped"))
  await assert.rejects(fixture.issueJwt(jwtRequest(), NEVER), refusal("not-ready", "clock-jumped"))
  await fixture.clock.advance(1800)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), refusal("not-ready", "clock-jumped"))
  assert.deepEqual(fixture.signed, [])
  fixture.clock.jumpWall(3600)
  await fixture.issueX509(x509Request(), NEVER)
})

test("[INV-21] goes on by itself a minute after the clock jumped forward, as it does when a machine was suspended", async () => {
  const fixture = await openIssueFixture()
  fixture.clock.jumpWall(7200)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), refusal("not-ready", "clock-jumped"))
  await fixture.clock.advance(59)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), refusal("not-ready", "clock-jumped"))
  await fixture.clock.advance(1)
  const { notAfter } = await fixture.issueX509(x509Request(), NEVER)
  assert.equal(notAfter, FIXTURE_START + 7200 + 60 + 3600)
})

test("[INV-21] bears steps within its tolerance and slow drift, but not many steps that add up", async () => {
  const fixture = await openIssueFixture({ issuingTtl: 700_000 })
  fixture.clock.jumpWall(-30)
  await fixture.issueX509(x509Request(), NEVER)
  fixture.clock.jumpWall(-30)
  await assert.rejects(fixture.issueX509(x509Request(), NEVER), refusal("not-ready", "clock-jumped"))
  fixture.clock.jumpWall(60)
  for (let hour = 0; hour < 100; hour++) {
    await fixture.clock.advance(3600)
    fixture.clock.jumpWall(-2)
    await fixture.issueX509(x509Request(), NEVER)
  }
})

function privateScalar({ privateKey }: ProvenKeyPair): Buffer {
  return Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url")
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
