import { deepEqual, equal, rejects, throws } from "node:assert/strict"
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { parseJwksDocument } from "../../src/adapters/kube/jwks-document.ts"
import { makeJwksKeys } from "../../src/adapters/kube/jwks-keys.ts"
import { makeFileJwksSource } from "../../src/adapters/kube/jwks-source.ts"
import { verifyToken } from "../../src/app/attest/verify-token.ts"
import { type CompactJws, parseCompactJws } from "../../src/core/jose/compact.ts"
import { SERVICE_ACCOUNT_JWS } from "../../src/core/kube/service-account-claims.ts"
import { LocalCluster } from "../../src/main/demo/local-cluster.ts"
import { type LiveConfig, openLiveConfig } from "../../src/main/server/live-config.ts"
import type { ClusterKeys } from "../../src/ports/kube.ts"
import { ISSUER, keysOf, NEVER, ORDER, START, trust } from "../support/attest-fixture.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { listenHttps } from "../support/https-endpoint.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeServerSetup } from "../support/server-setup.ts"

const down = { code: "attestor-down" }

interface Fixture {
  readonly clock: FakeClock
  readonly cluster: LocalCluster
  readonly keys: ClusterKeys
  reads: number
  failures: number
  read: () => Promise<string>
  readonly sign: () => CompactJws
}

function makeFixture(): Fixture {
  const clock = new FakeClock(START)
  const cluster = new LocalCluster("https://issuer.test", () => clock.now())
  const pod = cluster.createPod("shop", "cart", "cart-0")
  const fixture: Fixture = {
    clock,
    cluster,
    reads: 0,
    failures: 0,
    read: async () => cluster.jwks(),
    sign: () => parseCompactJws(cluster.issueToken(pod, ORDER), SERVICE_ACCOUNT_JWS),
    keys: makeJwksKeys({
      clock,
      verifier: makeJwsVerifier(),
      source: {
        lifetime: 300,
        cooldown: 30,
        read: () => {
          fixture.reads++
          return fixture.read()
        },
      },
      onReadFailed: () => {
        fixture.failures++
      },
    }),
  }
  return fixture
}

/** Let reads hang from now on, until a test ends the newest. */
function hang(source: { read: () => Promise<string> }) {
  let newest = Promise.withResolvers<string>()
  source.read = () => {
    newest = Promise.withResolvers()
    return newest.promise
  }
  return { resolve: (text: string) => newest.resolve(text), reject: (error: Error) => newest.reject(error) }
}

test("[ATT-16] one set serves for 300 s, and one read serves all who wait", async () => {
  const fixture = makeFixture()
  const { keys, sign, clock } = fixture
  await Promise.all([keys.verify(sign(), NEVER), keys.verify(sign(), NEVER), keys.verify(sign(), NEVER)])
  await clock.advance(299)
  await keys.verify(sign(), NEVER)
  equal(fixture.reads, 1)
  await clock.advance(1)
  await keys.verify(sign(), NEVER)
  equal(fixture.reads, 2)
})

test("[ATT-16] a flood of unknown kids leads to one read in 30 s, a wrong signature to none", async () => {
  const fixture = makeFixture()
  const { keys, sign, clock } = fixture
  const stranger = new LocalCluster("https://issuer.test", () => START)
  const foreign = parseCompactJws(stranger.issueToken(stranger.createPod("a", "b", "c"), ORDER), SERVICE_ACCOUNT_JWS)
  await keys.verify(sign(), NEVER)
  for (let i = 0; i < 100; i++) await rejects(keys.verify(foreign, NEVER), { reason: "key-unknown" })
  equal(fixture.reads, 1)
  await clock.advance(30)
  for (let i = 0; i < 100; i++) await rejects(keys.verify(foreign, NEVER), { reason: "key-unknown" })
  equal(fixture.reads, 2)
  const good = sign()
  await clock.advance(30)
  await rejects(keys.verify({ ...good, signature: foreign.signature }, NEVER), { reason: "signature-invalid" })
  equal(fixture.reads, 2)
})

test("[ATT-17] an unreadable set leaves the last one in use for an hour, then nothing verifies until it comes back", async () => {
  const fixture = makeFixture()
  const { keys, sign, clock, cluster } = fixture
  await keys.verify(sign(), NEVER)
  fixture.read = async () => "<html>"
  await clock.advance(3599)
  await keys.verify(sign(), NEVER)
  equal(fixture.failures, 1)
  await clock.advance(1)
  await rejects(keys.verify(sign(), NEVER), down)
  fixture.read = async () => cluster.jwks()
  await rejects(keys.verify(sign(), NEVER), down)
  await clock.advance(30)
  await keys.verify(sign(), NEVER)
})

test("[ATT-17] a configuration that is adopted while a set cannot be read goes on with the last one, unless it names another source", async () => {
  await using folder = await makeScratch("keys")
  const setup = await makeServerSetup(folder.directory)
  const clock = new FakeClock(Math.floor(Date.now() / 1000))
  const deps = { verifier: makeJwsVerifier(), clock, log: quietLog }
  const jws = parseCompactJws(setup.token(), SERVICE_ACCOUNT_JWS)
  const verifyBy = async (live: LiveConfig) => live.clusters[0]?.keys.verify(jws, NEVER)
  const first = await openLiveConfig(setup.parse({}), deps)
  await verifyBy(first)
  await rm(folder.path("jwks.json"))
  const second = await openLiveConfig(setup.parse({ limits: { stream_age: "1h" } }), deps, first)
  await verifyBy(second)
  await clock.advance(3599)
  await verifyBy(await openLiveConfig(setup.parse({}), deps, second))
  const [cluster] = setup.parse({}).clusters
  const elsewhere = { kind: "jwks-file", file: folder.path("other.json") } as const
  const moved = { ...setup.parse({}), clusters: cluster === undefined ? [] : [{ ...cluster, keys: elsewhere }] }
  await rejects(verifyBy(await openLiveConfig(moved, deps, second)), down)
  await clock.advance(1)
  await rejects(verifyBy(second), down)
})

test("[ATT-17] without any set the answer is attestor-down, and the source is tried once in 30 s", async () => {
  const fixture = makeFixture()
  const { keys, sign } = fixture
  fixture.read = async () => {
    throw new Error("no route")
  }
  for (let i = 0; i < 10; i++) await rejects(keys.verify(sign(), NEVER), down)
  deepEqual([fixture.reads, fixture.failures], [1, 1])
})

test("[ATT-20] a source that hangs holds tokens up for a second, and after it failed nobody whom the last set knows", async () => {
  const fixture = makeFixture()
  const { keys, sign, clock } = fixture
  await keys.verify(sign(), NEVER)
  const hanging = hang(fixture)
  await clock.advance(300)
  const held = Promise.all(Array.from({ length: 100 }, () => keys.verify(sign(), NEVER)))
  await clock.untilSleeping(1)
  await clock.advance(1)
  await held
  for (let i = 0; i < 100; i++) await keys.verify(sign(), NEVER)
  deepEqual([fixture.reads, clock.sleeping], [2, 0])
  await clock.advance(9)
  hanging.reject(new Error("timed out"))
  await clock.advance(20)
  for (let i = 0; i < 100; i++) await keys.verify(sign(), NEVER)
  deepEqual([fixture.reads, fixture.failures], [3, 1])
})

test("[ATT-20] a token of an unknown kid waits for all of a read that is under way, and for a second once one failed", async () => {
  const fixture = makeFixture()
  const { keys, sign, clock, cluster } = fixture
  await keys.verify(sign(), NEVER)
  const hanging = hang(fixture)
  cluster.rotateKey()
  await clock.advance(300)
  const waiting = keys.verify(sign(), NEVER)
  await clock.advance(5)
  hanging.resolve(cluster.jwks())
  await waiting
  cluster.rotateKey()
  await clock.advance(30)
  const failing = rejects(keys.verify(sign(), NEVER), { reason: "key-unknown" })
  await clock.advance(0)
  hanging.reject(new Error("no route"))
  await failing
  await clock.advance(30)
  const held = rejects(keys.verify(sign(), NEVER), { reason: "key-unknown" })
  await clock.untilSleeping(1)
  await clock.advance(1)
  await held
  for (let i = 0; i < 100; i++) await rejects(keys.verify(sign(), NEVER), { reason: "key-unknown" })
  equal(fixture.reads, 4)
  hanging.resolve(cluster.jwks())
  await clock.advance(0)
  await keys.verify(sign(), NEVER)
})

test("[ATT-17][KC-07] a key that was taken out is refused an hour after it was read, however long the source hangs", async () => {
  const fixture = makeFixture()
  const { keys, sign, clock, cluster } = fixture
  await keys.verify(sign(), NEVER)
  const removed = sign()
  for (let i = 0; i < 2; i++) cluster.rotateKey()
  const hanging = hang(fixture)
  await clock.advance(3598)
  const last = keys.verify(removed, NEVER)
  await clock.untilSleeping(1)
  await clock.advance(1)
  await last
  await clock.advance(1)
  const waiting = rejects(keys.verify(removed, NEVER), down)
  await clock.advance(8)
  hanging.reject(new Error("timed out"))
  await waiting
  await rejects(keys.verify(removed, NEVER), down)
  fixture.read = async () => cluster.jwks()
  await clock.advance(30)
  await rejects(keys.verify(removed, NEVER), { reason: "key-unknown" })
  await keys.verify(sign(), NEVER)
})

test("[ATT-03][ATT-20] a cluster whose keys hang does not hold up those of another one with its issuer for more than a second", async () => {
  const clock = new FakeClock(START)
  const west = new LocalCluster(ISSUER, () => START)
  const source = { lifetime: 300, cooldown: 30, read: async () => "" }
  const hanging = hang(source)
  const broken = makeJwksKeys({
    clock,
    verifier: makeJwsVerifier(),
    source: { ...source, read: () => source.read() },
    onReadFailed: () => {},
  })
  const clusters = [trust("east", { keys: broken }), trust("west", { keys: keysOf(west, clock) })]
  const token = () => west.issueToken(west.createPod("shop", "cart", "cart-0"), ORDER)
  const first = verifyToken(token(), clusters, START, NEVER)
  await clock.advance(10)
  hanging.reject(new Error("timed out"))
  equal((await first).cluster.name, "west")
  await clock.advance(30)
  const second = verifyToken(token(), clusters, START, NEVER)
  await clock.untilSleeping(1)
  await clock.advance(1)
  equal((await second).cluster.name, "west")
})

test("[ATT-18][JOS-05] two different keys under one kid are refused, the same key twice is one", () => {
  const [a, b] = [new LocalCluster("a", () => 0), new LocalCluster("b", () => 0)].map(
    (cluster) => JSON.parse(cluster.jwks()).keys[0],
  )
  throws(() => parseJwksDocument(JSON.stringify({ keys: [a, { ...b, kid: a.kid }] })), { code: "malformed" })
  equal(parseJwksDocument(JSON.stringify({ keys: [a, a] })).length, 1)
})

test("[ATT-18] keys for encryption, of other kinds or with unknown algorithms are left out, their private members too", () => {
  const [key] = JSON.parse(new LocalCluster("a", () => 0).jwks()).keys
  const others = [
    { ...key, use: "enc" },
    ...[["encrypt"], ["sign"], [], "verify", null].map((key_ops) => ({ ...key, key_ops })),
    { kty: "oct", k: "AAAA" },
    { ...key, alg: "HS256" },
    { kty: "OKP", crv: "Ed25519" },
  ]
  const [only, ...rest] = parseJwksDocument(JSON.stringify({ keys: [...others, { ...key, d: "secret", x5u: "u" }] }))
  equal(rest.length, 0)
  equal(parseJwksDocument(JSON.stringify({ keys: [{ ...key, key_ops: ["sign", "verify"] }] })).length, 1)
  deepEqual(Object.keys(only?.jwk ?? {}).sort(), ["crv", "kty", "x", "y"])
})

for (const text of [
  "",
  "[]",
  "{}",
  '{"keys":{}}',
  '{"keys":[]}',
  '{"keys":[1]}',
  '{"keys":[],"keys":[]}',
  '{"keys":[{"kty":"RSA"}]}',
]) {
  test(`[ATT-18] refuses the JWK set ${JSON.stringify(text)}`, () => {
    throws(() => parseJwksDocument(text), { code: "malformed" })
  })
}

test("[ATT-18] refuses more than 64 keys", () => {
  const [key] = JSON.parse(new LocalCluster("a", () => 0).jwks()).keys
  const keys = Array.from({ length: 65 }, (_, i) => ({ ...key, kid: `${i}` }))
  equal(parseJwksDocument(JSON.stringify({ keys: keys.slice(1) })).length, 64)
  throws(() => parseJwksDocument(JSON.stringify({ keys })), { code: "malformed" })
})

test("[ATT-16] a JWKS file that changed is read for the first token with a new key", async () => {
  await using server = await listenHttps((_, response) => response.end())
  const { clock, cluster, sign } = makeFixture()
  const path = join(server.folder, "jwks.json")
  await writeFile(path, cluster.jwks())
  const keys = makeJwksKeys({
    clock,
    verifier: makeJwsVerifier(),
    source: makeFileJwksSource(path),
    onReadFailed: () => {},
  })
  await keys.verify(sign(), NEVER)
  cluster.rotateKey()
  await writeFile(path, cluster.jwks())
  await rejects(keys.verify(sign(), NEVER), { reason: "key-unknown" })
  await clock.advance(1)
  await keys.verify(sign(), NEVER)
  await writeFile(path, " ".repeat(512 * 1024 + 1))
  await rejects(makeFileJwksSource(path).read(NEVER), { code: "malformed" })
})
