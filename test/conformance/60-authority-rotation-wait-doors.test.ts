import assert from "node:assert/strict"
import { test } from "node:test"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { commitThenSign } from "../../src/app/issue/commit-then-sign.ts"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { verifySvidChain } from "../../src/core/x509/path.ts"
import { parsePem } from "../../src/core/x509/pem.ts"
import type { ServerRotation } from "../../src/main/server/rotation.ts"
import { type OwnServingDeps, openServingTls } from "../../src/main/server/serving-certificate.ts"
import { type HeldOpens, holdOpens } from "../support/held-opens.ts"
import { failureOf, IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { NO_BANS } from "../support/issuance-fixtures.ts"
import { quietLog } from "../support/quiet-log.ts"
import { openRotatingServer, type RotatingServer } from "../support/rotating-server.ts"
import { ALICE, openControlled } from "../support/rotation/controlled.ts"
import type { PipelineUnderTest } from "../support/server-under-test.ts"
import { makeTestCsr } from "../support/test-csr.ts"
import { API, openTokenServer, type TokenServer } from "../support/token-server.ts"
import { until } from "../support/until.ts"

const ALL = { by: "alice", reason: "stolen", consumers: "all" } as const

test("[AUT-14][AUT-15] single calls and batches wait during an emergency, and get certificates of the new root alone", async () => {
  await using held = await openHeld()
  const { server, peer, opens } = held
  const { done } = await declare(server.rotation, opens)
  const single = peer.x509(fresh(held.token), held.token)
  const batch = peer.batchX509(
    Array.from({ length: 64 }, () => fresh(held.token)),
    held.token,
  )
  await arrived(server, 65)
  opens.release()
  const results = (await batch).results.map(({ result }) => (result?.$case === "issued" ? result.value : undefined))
  const svids = [await single, ...results]
  assert.equal(svids.length, 65)
  for (const svid of svids) {
    verifySvidChain(svid?.chain ?? [], server.pipeline.trust.snapshot().own, server.clock.now())
  }
  await done
})

test("[AUT-14][IDA-32] a call that waits when the server is stopped is finished", async () => {
  await using held = await openHeld()
  const { server, peer, opens } = held
  const { done } = await declare(server.rotation, opens)
  const call = peer.x509(fresh(held.token), held.token)
  await arrived(server, 1)
  const drained = server.listeners[Symbol.asyncDispose]()
  opens.release()
  assert.equal((await call).chain.length, 2)
  await Promise.all([drained, done])
})

test("[AUT-14][IDA-32] a call that waits holds the drain no longer than its timeout, and nothing is signed for it then", async () => {
  await using held = await openHeld()
  const { server, peer, opens } = held
  const { done } = await declare(server.rotation, opens)
  const before = await issued(server)
  const failure = failureOf(peer.x509(fresh(held.token), held.token))
  await arrived(server, 1)
  await server.listeners[Symbol.asyncDispose]()
  assert.ok([1, 14].includes((await failure).status), "cut")
  opens.release()
  await done
  assert.equal(await issued(server), before)
})

test("[AUT-14][TX-13] a certificate that the token endpoint gives after a wait lives no longer than what it was given for", async () => {
  let shift = 0
  const clock = { ...systemClock, now: () => systemClock.now() + shift }
  await using server = await openTokenServer({ clock })
  const opens = holdOpens(server.state.keys)
  const subject = server.setup.token({ lifetime: 120 })
  const { done } = await declare(server.rotations.x509, opens)
  const end = clock.now() + 120
  const csr = Buffer.from(makeTestCsr()).toString("base64url")
  const asked = exchange(server, subject, { requested_token_type: TOKEN_TYPES.x509Svid, csr })
  await arrived(server, 1)
  shift = 20
  opens.release()
  const { status, body } = await asked
  assert.equal(status, 200, JSON.stringify(body))
  const chain = parsePem(String(body["access_token"]), "CERTIFICATE", { maxLength: 65_536, maxBlocks: 4 })
  verifySvidChain(chain, server.pipeline.trust.snapshot().own, clock.now())
  const { notAfter } = parseCertificate(chain[0] ?? assert.fail())
  assert.ok(notAfter <= end, `${notAfter - end} s too long`)
  assert.ok(Number(body["expires_in"]) <= 100)
  await done
})

test("[AUT-23] the token endpoint waits for the new keys in an emergency, and dates its tokens when they are there", async () => {
  let shift = 0
  const clock = { ...systemClock, now: () => systemClock.now() + shift }
  await using server = await openTokenServer({ clock })
  const opens = holdOpens(server.state.keys)
  const subject = server.setup.token()
  const { done } = await declare(server.rotations.jwt, opens)
  const asked = exchange(server, subject, { audience: API })
  await arrived(server, 1)
  shift = 20
  opens.release()
  const { status, body } = await asked
  assert.equal(status, 200, JSON.stringify(body))
  const [header, claims] = String(body["access_token"])
    .split(".", 2)
    .map((part) => JSON.parse(Buffer.from(part, "base64url").toString()))
  const kids = server.pipeline.trust.snapshot().own.jwtAuthorities.map(({ kid }) => kid)
  assert.ok(kids.includes(header.kid))
  assert.ok(claims.iat >= clock.now() - 10)
  await done
})

test("[REV-04][AUT-23] whoever is revoked while the token endpoint waits for new keys gets no token that is younger", async () => {
  const security = "spiffe://prod.example/ns/shop/sa/security"
  await using server = await openTokenServer({ oauth: { revokers: [security] } })
  const opens = holdOpens(server.state.keys)
  const { done } = await declare(server.rotations.jwt, opens)
  const asked = exchange(server, server.setup.token(), { audience: API })
  const other = exchange(server, server.setup.token({ serviceAccount: "backend" }), { audience: API })
  await arrived(server, 2)
  const subject = "spiffe://prod.example/ns/shop/sa/web"
  const revoked = await server.post("/revoke", {
    client_assertion_type: ASSERTION_TYPES.jwtBearer,
    client_assertion: server.setup.token({ serviceAccount: "security" }),
    subject,
  })
  assert.equal(revoked.status, 200, JSON.stringify(revoked.body))
  opens.release()
  const { status, body } = await asked
  assert.deepEqual([status, body["error"], body["reason"]], [401, "invalid_client", "token-revoked"])
  assert.equal((await other).status, 200)
  await done
})

test("[AUT-14][IDA-25] a serving certificate that is renewed during an emergency waits for the new root", async () => {
  const { trust, clock, serving, opens, done, stop, running } = await serveInEmergency()
  const before = serving.certificate()
  await clock.advance(1800)
  assert.equal(serving.certificate(), before)
  opens.release()
  await until("another", () => serving.certificate() !== before)
  const chain = parsePem(serving.certificate().chain, "CERTIFICATE", { maxLength: 65_536, maxBlocks: 8 })
  verifySvidChain(chain, trust.snapshot().own, clock.now())
  stop.abort()
  await Promise.all([running, done])
})

test("[AUT-14] a server that stops while its serving certificate waits does not wait for that", async () => {
  const { clock, opens, done, stop, running } = await serveInEmergency()
  await clock.advance(1800)
  stop.abort()
  await running
  opens.release()
  await done
})

/** A server whose serving certificate is kept current while an emergency waits for a key to open. */
async function serveInEmergency() {
  const it = await openControlled({ rows: [] })
  const { trust, issuing, store, clock, keys } = it.fixture
  const sign = commitThenSign(store.issuanceLog)
  const deps: OwnServingDeps = {
    ...{ trust, issuing, clock, random: makeSystemRandom(), ephemeral: processKeys },
    plan: { ttl: 3600, backdate: 10, serialPrefix: 1 },
    signIntent: (order) => sign({ ...order, guards: NO_BANS }),
  }
  const own = { kind: "own", dnsNames: ["localhost"], ipAddresses: [] } as const
  const serving = await openServingTls(own, deps, { headerBytes: 16_384, streamsPerConnection: 8 }, quietLog)
  const opens = holdOpens(keys)
  const { done } = await declare(it, opens)
  const stop = new AbortController()
  const running = serving.run(stop.signal)
  return { trust, clock, serving, opens, done, stop, running }
}

interface HeldServer extends AsyncDisposable {
  readonly server: RotatingServer
  readonly peer: IdentityPeer
  readonly opens: HeldOpens
  readonly token: string
}

/** Whose keys can be held; they are let go when it is disposed of. */
async function openHeld(): Promise<HeldServer> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await openRotatingServer({ config: { drain: { timeout: "1s" } } }))
  const opens = holdOpens(server.state.keys)
  stack.defer(() => opens.release())
  const peer = stack.use(new IdentityPeer(server))
  const moved = stack.move()
  return { server, peer, opens, token: server.setup.token(), [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

/** An emergency that is in force, and whose new key cannot be opened. */
async function declare({ operate }: Pick<ServerRotation, "operate">, opens: HeldOpens) {
  opens.hold()
  const [before, emergency] = [opens.count, operate.emergency(ALL, ALICE)]
  await until("declared", () => opens.count > before)
  return { done: emergency }
}

/** So many were let in since the start; what comes for them next is the wait. */
async function arrived({ metrics }: PipelineUnderTest, count: number): Promise<void> {
  await until("they wait", async () => {
    const { values } = await metrics.attestations.get()
    return values.reduce((sum, { value }) => sum + value, 0) >= count
  })
}

async function issued({ state }: RotatingServer): Promise<number> {
  const found = await state.store.issuanceLog.search({ kind: "x509", limit: 100 })
  return found.filter(({ intent }) => intent.requester.namespace === "shop").length
}

function fresh(token: string) {
  return { key: provenKey(token) }
}

function exchange(server: TokenServer, subject: string, form: Readonly<Record<string, string>>) {
  const asked = {
    grant_type: GRANT_TYPES["token-exchange"],
    subject_token: subject,
    subject_token_type: TOKEN_TYPES.jwt,
  }
  return server.post("/token", { ...asked, ...form })
}
