import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { failureOf, IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"
import { Subscriber } from "../support/subscriber.ts"

const WEB = "spiffe://prod.example/ns/shop/sa/web"

let scratch: Scratch
let setup: ServerSetup
let roots: string
before(async () => {
  scratch = await makeScratch()
  setup = await makeServerSetup(scratch.directory)
  roots = (await initTrustDomain(setup)).roots
})
after(() => scratch[Symbol.asyncDispose]())

const ban = (...args: readonly string[]) => runAssay(["ban", ...args, "-c", setup.configFile])

test("[BAN-04][BAN-14][REVO-02] a ban by the command line ends a live stream, outlives a kill of the server, and is lifted", async () => {
  const token = setup.token()
  {
    await using server = await startServerProcess(setup)
    using peer = new IdentityPeer({ address: server.address, roots })
    await peer.x509({ key: provenKey(token) }, token)
    using subscriber = new Subscriber(peer, token)
    subscriber.hello()
    await subscriber.snapshot()
    const tried = await ban("add", "identity", WEB, "--reason", "leaked")
    assert.equal(tried.code, 0, tried.err)
    assert.match(tried.out, /^nothing was changed; --yes bans identity spiffe:/)
    assert.match(tried.out, /It would end 1 live stream.*One holds certificates, the last until 20\d\d-.*\(in 5\dm\)/s)
    await peer.x509({ key: provenKey(token) }, token)
    const done = await ban("add", "identity", WEB, "--reason", "leaked", "--for", "12h", "--yes", "-o", "json")
    assert.equal(done.code, 0, done.err)
    const reply: unknown = JSON.parse(done.out)
    assert.ok(typeof reply === "object" && reply !== null && "changed" in reply && "streams" in reply)
    assert.deepEqual([reply.changed, reply.streams], [true, 1])
    assert.equal((await subscriber.ended())?.reason, "banned")
    server.signal("SIGKILL")
  }
  await using server = await startServerProcess(setup)
  using peer = new IdentityPeer({ address: server.address, roots })
  assert.equal((await failureOf(peer.x509({ key: provenKey(token) }, token))).reason, "banned")
  const listed = await ban("list")
  assert.match(
    listed.out,
    /^identity +spiffe:\/\/prod\.example\/ns\/shop\/sa\/web +\d+s ago +20\d\d-.* unix:uid=\d+.* leaked$/m,
  )
  const metrics = await metricsOf(server)
  assert.match(metrics, /^assay_bans\{kind="identity"\} 1$/m)
  const lifted = await ban("lift", "identity", WEB, "--reason", "key was replaced")
  assert.match(lifted.out, /^lifted: identity spiffe:/)
  await peer.x509({ key: provenKey(token) }, token)
})

test("[BAN-18] who bans an identity of another trust domain is told what it keeps", async () => {
  await using _server = await startServerProcess(setup)
  for (const target of [
    ["identity", "spiffe://partner.example/ns/shop/sa/web"],
    ["prefix", "spiffe://partner.example"],
  ]) {
    const { code, out, err } = await ban("add", ...target, "--reason", "x")
    assert.equal(code, 0, err)
    assert.match(
      out,
      /^warning: this server issues for prod\.example: workloads of partner\.example .*ban them there, too$/m,
    )
  }
  for (const target of [
    ["identity", WEB],
    ["prefix", "spiffe://prod.example"],
    ["cluster", "main"],
  ])
    assert.doesNotMatch((await ban("add", ...target, "--reason", "x")).out, /warning/)
})

test("[BAN-14] what is not in force cannot be lifted, what names nobody cannot be banned, and the exit code says so", async () => {
  await using _server = await startServerProcess(setup)
  const missing = await ban("lift", "cluster", "main", "--reason", "x")
  assert.equal(missing.code, 1)
  assert.match(missing.err, /^assay: ban-not-found: .*\(next: assay ban list/)
  const misspelt = await ban("add", "namespace", "shop", "--reason", "x", "--yes")
  assert.deepEqual([misspelt.code, misspelt.out], [1, ""])
  assert.match(misspelt.err, /namespace is not <cluster>\/<namespace>/)
  const unending = await ban("add", "cluster", "main", "--reason", "x", "--for", "soon")
  assert.equal(unending.code, 64)
  const unkind = await ban("add", "user", "alice", "--reason", "x")
  assert.equal(unkind.code, 64)
  const none = await ban("list", "-o", "yaml")
  assert.match(none.out, /^bans: \[\]$/m)
})

async function metricsOf(server: ServerProcess): Promise<string> {
  return (await fetch(`${server.healthUrl}/metrics`)).text()
}
