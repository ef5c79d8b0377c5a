import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { keyNameOf } from "../../src/core/ban/key-name.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { bansAdd, bansList } from "../../src/transports/admin/ban-operations.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { proveFreshKey } from "../support/identity-peer.ts"
import { NEVER } from "../support/issue-fixture.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"
type Server = Awaited<ReturnType<typeof openAdminUnderTest>>

test("[BAN-14] a ban is only tried until told otherwise, and says how many streams and holders it is about", async () => {
  await using server = await openAdminUnderTest()
  const token = server.setup.token()
  const until = (await issue(server, token)).notAfter
  await issue(server, server.setup.token({ serviceAccount: "other" }))
  const stop = new AbortController()
  const updates = server.pipeline.watchEntitlements(token, () => undefined, stop.signal)
  await updates.next()
  const named = { kind: "identity", name: WEB, reason: "leaked" }
  const tried = await add(server, named)
  assert.deepEqual([tried.changed, tried.streams, tried.holders, tried.holds_until], [false, 1, 1, until])
  assert.equal(tried.ban, undefined)
  await issue(server, token)
  const done = await add(server, { ...named, ttl: 600, dry_run: false })
  // Nobody has read on in the stream.
  assert.equal(done.late, 1)
  const end = (done.ban?.created_at ?? 0) + 600
  assert.deepEqual([done.changed, done.streams, done.ban?.until, done.ban?.reason], [true, 1, end, "leaked"])
  await assert.rejects(updates.next(), { code: "policy-denied", reason: "banned" })
  await assert.rejects(issue(server, token), { reason: "banned" })
  assert.match(done.ban?.actor ?? "", /^unix:uid=/)
  const again = await add(server, named)
  assert.deepEqual([again.changed, again.streams, again.ban?.until], [false, 0, done.ban?.until])
})

test("[BAN-14] the reach of a ban by prefix, namespace, node and pod is what it names, and of a key who has certificates for it", async () => {
  await using server = await openAdminUnderTest()
  const pod = server.setup.cluster.createPod("shop", "web", "web-7")
  const { publicKey } = await issue(server, server.setup.token({ pod }))
  for (const [kind, name, holders] of [
    ["prefix", "spiffe://prod.example/ns/shop", 1],
    ["prefix", "spiffe://prod.example/ns/sho", 0],
    ["namespace", "main/shop", 1],
    ["cluster", "main", 1],
    ["cluster", "other", 0],
    ["node", `main/${pod.node.name}`, 1],
    ["pod", pod.uid, 1],
    ["key", keyNameOf(publicKey), 1],
    ["key", "ab".repeat(32), 0],
  ] as const) {
    assert.equal((await add(server, { kind, name, reason: "test" })).holders, holders, `${kind} ${name}`)
  }
  server.state.store.holdings.readKeyHolders = async () => {
    throw new IdentityError("not-ready", "disk I/O error")
  }
  const unknown = await add(server, { kind: "key", name: keyNameOf(publicKey), reason: "test" })
  assert.deepEqual([unknown.streams, unknown.holders, unknown.late], [undefined, undefined, 0])
})

test("[BAN-14] bans are listed, lifted with a reason, and each change is recorded with who wanted it", async () => {
  await using server = await openAdminUnderTest()
  const token = server.setup.token()
  await add(server, { kind: "namespace", name: "main/shop", reason: "incident 42", dry_run: false })
  await add(server, { kind: "cluster", name: "other", reason: "gone", dry_run: false })
  const listed = await list(server)
  assert.deepEqual(
    listed.bans.map(({ kind, name, reason }) => [kind, name, reason]),
    [
      ["namespace", "main/shop", "incident 42"],
      ["cluster", "other", "gone"],
    ],
  )
  assert.deepEqual((await list(server, { kind: "cluster" })).total, 1)
  await assert.rejects(issue(server, token), { reason: "banned" })
  const lift = { kind: "namespace", name: "main/shop", reason: "over" }
  await post(server, "/bans/lift", lift)
  await issue(server, token)
  await assert.rejects(post(server, "/bans/lift", lift), { code: "not-found", reason: "ban-not-found" })
  using db = new DatabaseSync(server.live().config.storage.sqlite, { readOnly: true, timeout: 10_000 })
  const changes = db.prepare("SELECT type, actor FROM audit_event WHERE type LIKE 'ban.%' ORDER BY seq").all()
  assert.deepEqual(
    changes.map(({ type }) => type),
    ["ban.added", "ban.added", "ban.lifted"],
  )
  for (const { actor } of changes) assert.match(String(actor), /^unix:uid=/)
})

test("[BAN-14] a name in another spelling, a ban of Assay and one without reason are refused, dry run or not", async () => {
  await using server = await openAdminUnderTest()
  for (const request of [
    { kind: "namespace", name: "shop", reason: "x" },
    { kind: "identity", name: "spiffe://prod.example/assay/server", reason: "x" },
    { kind: "identity", name: WEB },
    { kind: "identity", name: WEB, reason: "two\nlines", dry_run: false },
    { kind: "user", name: WEB, reason: "x" },
    { kind: "identity", name: WEB, reason: "x", ttl: 0 },
  ]) {
    await assert.rejects(post(server, "/bans", request), { code: "malformed" }, JSON.stringify(request))
  }
  assert.equal((await list(server)).total, 0)
})

test("[BAN-14] a role with prefixes bans what is within them, and nobody by where they run", async () => {
  await using server = await openAdminUnderTest()
  const operation = server.admin.operations.find(({ contract }) => contract === bansAdd)
  const scopeOf = (kind: string, name: string) => operation?.prepare({ kind, name, reason: "x" }).scope
  const WEB_ONLY = { kind: "ids", patterns: [{ kind: "exact", id: WEB }] }
  assert.deepEqual(scopeOf("identity", WEB), WEB_ONLY)
  assert.deepEqual(scopeOf("prefix", WEB), {
    kind: "ids",
    patterns: [
      { kind: "exact", id: WEB },
      { kind: "below", prefix: WEB },
    ],
  })
  for (const [kind, name] of [
    ["namespace", "main/shop"],
    ["key", "ab".repeat(32)],
  ] as const) {
    assert.deepEqual(scopeOf(kind, name), { kind: "trust-domain" })
  }
})

async function issue(server: Server, token: string) {
  const { publicKey, proof } = proveFreshKey(token)
  const key = { kind: "proven-key", publicKey, proof } as const
  const request = { token, key, spiffeId: undefined, ttl: undefined, requestId: "test" }
  const { notAfter } = await server.pipeline.issueX509(request, NEVER)
  return { notAfter, publicKey }
}

function post(server: Server, path: string, input: object) {
  return server.client.call({ method: "POST", path, input: { ...input } }, NEVER)
}

async function add(server: Server, input: object) {
  return bansAdd.response.parse(await post(server, "/bans", input))
}

async function list(server: Server, input: object = {}) {
  const reply = await server.client.call({ method: "GET", path: "/bans", input: { ...input } }, NEVER)
  return bansList.response.parse(reply)
}
