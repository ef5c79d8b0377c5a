import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { connect, type PeerCertificate, type TLSSocket } from "node:tls"
import { checkAdminServer } from "../../src/adapters/admin-client/check-admin-server.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { fetchCredentials } from "../../src/main/commands/admin-credentials.ts"
import { addAdminRoutes } from "../../src/transports/admin/admin-routes.ts"
import { listenHttp } from "../../src/transports/http/listen.ts"
import { makeLocalServer } from "../../src/transports/http/local-server.ts"
import { type AdminUnderTest, openAdminUnderTest } from "../support/admin-server.ts"
import { ADMIN_HEADERS, askRaw, JSON_HEADERS } from "../support/ask-raw.ts"
import { banishing } from "../support/ban-order.ts"
import { FakeSource } from "../support/fake-source.ts"
import { fakeSvid, fakeView } from "../support/fake-view.ts"
import { type ClientPair, makeHttpsFetch } from "../support/https-fetch.ts"
import { type JwtKey, makeJwtKey } from "../support/jwt-key.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeTestCa, type TestCa, type TestLeaf } from "../support/test-ca.ts"
import { type Answer, answerOf } from "../support/token-server.ts"
import { until } from "../support/until.ts"
import { openWorkloadPeer } from "../support/workload-peer.ts"
import { openX509Client } from "../support/x509-client.ts"

const ISSUER = "https://assay.example"
const AUDIENCE = "https://assay.example/admin"
const STAFF = "https://login.example"
const FOREIGN = "spiffe://other.example/ops/carol"

const stack = new AsyncDisposableStack()
const staff = makeJwtKey()
const own = makeJwtKey()
const foreign: TestCa = makeTestCa({ trustDomain: "other.example" })
let folder: string
let server: AdminUnderTest
let operator: ClientPair
before(async () => {
  const scratch = stack.use(await makeScratch())
  folder = scratch.directory
  const jwks = join(folder, "staff.jwks")
  const { kid, jwk } = staff.authority
  await writeFile(jwks, JSON.stringify({ keys: [{ ...jwk, kid, use: "sig", alg: "ES256" }] }))
  server = stack.use(await openAdminUnderTest({ config: configOf(jwks) }))
  await trustKey(own)
  await federate([foreign.root.certificate.der])
  operator = (await openX509Client(server, "web")).client
})
after(() => stack.disposeAsync())

function configOf(jwks: string) {
  const issuer = { issuer: STAFF, audiences: [AUDIENCE], keys: { jwks_file: jwks } }
  return {
    listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0", https: "127.0.0.1:0", admin: "127.0.0.1:0" },
    oauth: { issuer: ISSUER },
    admin: {
      audience: AUDIENCE,
      issuers: [
        { ...issuer, name: "sre", required_claims: { groups: "sre" }, spiffe_id: "/ops/sre/{{sub}}" },
        { ...issuer, name: "everybody", required_claims: {}, spiffe_id: "/ops/read/{{sub}}" },
      ],
      roles: [
        { name: "reader", who: { spiffe_id: "/ops/*" }, verbs: ["status"] },
        { name: "sre", who: { spiffe_id: "/ops/sre/*" }, verbs: ["rotation"] },
        { name: "web", who: { spiffe_id: "/ns/shop/sa/web" }, verbs: ["status"] },
        { name: "abroad", who: { spiffe_id: FOREIGN }, verbs: ["status"] },
      ],
    },
  }
}

/** Publish a key for access tokens whose private half is the test's. */
async function trustKey({ authority: { kid, jwk } }: JwtKey): Promise<void> {
  const key = { keyId: "of-the-test", kid, algorithm: "ES256" as const, jwk, state: "retired" as const }
  const since = Math.floor(Date.now() / 1000)
  await server.pipeline.trust.update((record) => ({
    ...record,
    epoch: record.epoch + 1,
    jwtKeys: [...record.jwtKeys, { ...key, since }],
  }))
}

function federate(x509Authorities: readonly Uint8Array[]) {
  const bundle = { trustDomain: parseTrustDomain("other.example"), x509Authorities, jwtAuthorities: [], sequence: 1 }
  return server.pipeline.trust.setFederated([{ ...bundle, refreshHint: undefined }])
}

interface Order {
  readonly client?: ClientPair
  readonly token?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

async function ask({ client, token, path = "/status", headers = {}, body }: Order): Promise<Answer> {
  const reach = { ca: server.roots, port: server.admin.port ?? 0 }
  const fetch = makeHttpsFetch({ ...reach, ...(client && { client }) })
  const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return answerOf(
    await fetch(`https://localhost/admin/v1${path}`, {
      headers: { ...ADMIN_HEADERS, ...authorization, ...headers },
      ...(body === undefined ? {} : { method: "POST", body }),
    }),
  )
}

async function refuses(order: Order, reason: string, status = 401): Promise<Answer> {
  const answer = await ask(order)
  assert.deepEqual([answer.status, answer.body["reason"]], [status, reason])
  return answer
}

/** Routes with one place for a request, which is known once `known` resolves. */
function addOnePlace(app: Parameters<typeof addAdminRoutes>[0], known: () => Promise<void>): void {
  addAdminRoutes(app, {
    operations: [],
    perform: () => Promise.resolve({ kind: "done", reply: {} }),
    events: { unauthenticated: () => undefined },
    refusals: { login: () => undefined },
    maxRequests: 1,
    authenticate: async () => {
      await known()
      return { kind: "peer", uid: 1, gid: 1, pid: 1 }
    },
  })
}

function pairOf({ chain, pkcs8 }: TestLeaf): ClientPair {
  return { cert: chain.map((der) => encodePem("CERTIFICATE", der)).join(""), key: encodePem("PRIVATE KEY", pkcs8) }
}

function staffToken(claims: object, key = staff): string {
  const now = Math.floor(Date.now() / 1000)
  const base = { iss: STAFF, aud: AUDIENCE, sub: "alice", iat: now, exp: now + 300 }
  return key.token({ ...base, ...claims }, { typ: "JWT" })
}

function accessToken(claims: object): string {
  const now = Math.floor(Date.now() / 1000)
  const [sub, jti] = ["spiffe://prod.example/ops/bob", randomUUID()]
  const base = { iss: ISSUER, aud: AUDIENCE, sub, client_id: sub, jti, iat: now, exp: now + 300 }
  return own.token({ ...base, ...claims }, { typ: "at+jwt" })
}

test("[ADM-16] the operations of the socket are at listen.admin, with their document, and nothing is where it is not configured", async () => {
  const { status, body } = await ask({ client: operator })
  assert.deepEqual([status, body["trust_domain"]], [200, "prod.example"])
  const remote = await ask({ client: operator, path: "/openapi.json" })
  const local = await server.raw({ path: "/admin/v1/openapi.json" })
  assert.deepEqual(remote.body, local.body)
  await using other = await openAdminUnderTest()
  assert.equal(other.admin.port, undefined)
})

test("[ADM-16] no TLS session is resumed", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const terms = { port: server.admin.port ?? 0, ca: server.roots, servername: "localhost" }
    const open = (session?: Buffer) =>
      connect({ ...terms, minVersion: version, maxVersion: version, ...(session && { session }) })
    const first = open()
    let session: Buffer | undefined
    first.on("session", (ticket: Buffer) => (session = ticket))
    await once(first, "secureConnect")
    session ??= first.getSession()
    first.destroy()
    const second = open(session)
    await once(second, "secureConnect")
    assert.equal(second.isSessionReused(), false, version)
    second.destroy()
  }
})

test("[ADM-17] an X.509-SVID is known, of the own trust domain and of a federated one, while the bundles have its root", async () => {
  const carol = pairOf(foreign.issueLeaf(FOREIGN))
  assert.equal((await ask({ client: carol })).status, 200)
  await federate([])
  await refuses({ client: carol }, "client-certificate-invalid")
  await federate([foreign.root.certificate.der])
  assert.equal((await ask({ client: carol })).status, 200)
})

test("[ADM-17] a certificate of nobody's, one that has expired and one of Assay's own are refused, and so is none", async () => {
  const now = Math.floor(Date.now() / 1000)
  const forged = makeTestCa({ trustDomain: "prod.example" }).issueLeaf("spiffe://prod.example/ns/shop/sa/web")
  const expired = foreign.issueLeaf(FOREIGN, { notBefore: now - 600, notAfter: now - 60 })
  const reserved = foreign.issueLeaf("spiffe://other.example/assay/server")
  for (const leaf of [forged, expired, reserved]) await refuses({ client: pairOf(leaf) }, "client-certificate-invalid")
  const { headers, body } = await refuses({}, "credentials-missing")
  assert.equal(headers.get("www-authenticate"), "Bearer")
  assert.match(String(body["next"]), /--svid-dir/)
})

test("[ADM-18] a token of a configured issuer gives the identity of the first entry whose claims fit", async () => {
  const sre = staffToken({ groups: ["dev", "sre"] })
  assert.equal((await ask({ token: sre })).status, 200)
  assert.equal((await ask({ token: sre, path: "/rotation/plan" })).status, 200)
  const reader = staffToken({ groups: ["dev"] })
  assert.equal((await ask({ token: reader })).status, 200)
  await refuses({ token: reader, path: "/rotation/plan" }, "verb-not-granted", 403)
  await refuses({ token: staffToken({ sub: "a b" }) }, "token-identity-missing")
})

test("[ADM-18] a token for others, for others too, of another issuer or key, bound, used by another, or malformed is refused with what to do", async () => {
  const now = Math.floor(Date.now() / 1000)
  const cases: readonly [string, string][] = [
    [staffToken({ aud: ISSUER }), "token-audience-mismatch"],
    [staffToken({ aud: [AUDIENCE, ISSUER] }), "token-audience-mismatch"],
    [staffToken({ iss: "https://evil.example" }), "token-invalid"],
    [staffToken({}, makeJwtKey()), "token-invalid"],
    [staffToken({ exp: now - 1 }), "token-expired"],
    [staffToken({ cnf: { jkt: "x" } }), "proof-of-possession-missing"],
    [staffToken({ act: { sub: "a-bot" } }), "token-delegated"],
    ["e30.e30.e30", "token-invalid"],
  ]
  for (const [token, reason] of cases) {
    const { body } = await refuses({ token }, reason)
    assert.ok(typeof body["next"] === "string", reason)
  }
  for (const authorization of ["Basic eDp5", "Bearer", "Bearer a b", "DPoP abc"]) {
    await refuses({ headers: { authorization } }, "authorization-malformed")
  }
})

test("[ADM-18] a token that is sent says who asks: the certificate does not stand in for a bad one", async () => {
  await refuses({ client: operator, token: staffToken({ exp: 1 }) }, "token-expired")
  await refuses({ client: operator, token: staffToken({}), path: "/rotation/plan" }, "verb-not-granted", 403)
})

test("[ADM-18] an access token counts when it is for the admin API alone, and nobody uses it in another's name", async () => {
  assert.equal((await ask({ token: accessToken({}) })).status, 200)
  await refuses({ token: accessToken({ aud: ISSUER }) }, "token-audience-mismatch")
  await refuses({ token: accessToken({ aud: [AUDIENCE, ISSUER] }) }, "token-audience-mismatch")
  await refuses({ token: accessToken({ act: { sub: "spiffe://prod.example/ns/shop/sa/web" } }) }, "token-invalid")
})

test("[ADM-18] a bound access token needs its certificate, and one that is bound to a DPoP key is of no use", async () => {
  const { client, leafDigest } = await openX509Client(server, "web")
  const token = accessToken({ cnf: { "x5t#S256": leafDigest } })
  assert.equal((await ask({ client, token })).status, 200)
  await refuses({ client: operator, token }, "proof-of-possession-missing")
  await refuses({ token }, "client-certificate-invalid")
  const { kid } = makeJwtKey().authority
  await refuses({ client, token: accessToken({ cnf: { jkt: kid } }) }, "proof-of-possession-missing")
})

test("[ADM-17][ADM-18] the banned operate nothing, by certificate or by token, until the ban is lifted", async () => {
  const { ban, lift } = banishing(server.pipeline.bans, server.clock)
  const orders: readonly Order[] = [
    { client: operator },
    { token: staffToken({ sub: "mallory" }) },
    { token: accessToken({ sub: "spiffe://prod.example/ops/mallory" }) },
  ]
  const targets = [
    ["identity", "spiffe://prod.example/ns/shop/sa/web"],
    ["prefix", "spiffe://prod.example/ops"],
  ] as const
  for (const order of orders) assert.equal((await ask(order)).status, 200)
  for (const [kind, name] of targets) await ban(kind, name)
  const refused = await Promise.all(orders.map(async (order) => (await ask(order)).body["reason"]))
  assert.deepEqual(refused, ["banned", "banned", "token-revoked"])
  for (const [kind, name] of targets) await lift(kind, name)
  for (const order of orders.slice(0, 2)) assert.equal((await ask(order)).status, 200)
})

test("[ADM-19] a header and a body that are too long are refused", async () => {
  const long = await ask({ client: operator, headers: { "x-long": "x".repeat(20_000) } })
  assert.equal(long.status, 431)
  const token = staffToken({ groups: ["sre"] })
  const body = JSON.stringify({ canary_prefixes: ["x".repeat(70_000)] })
  await refuses({ token, path: "/rotation/start", headers: JSON_HEADERS, body }, "body-too-long", 413)
})

test("[ADM-19] connections beyond those that are configured are closed", async () => {
  await using one = await openAdminUnderTest({
    config: {
      listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0", admin: "127.0.0.1:0" },
      admin: { connections: 1 },
    },
  })
  const open = (): TLSSocket => connect({ port: one.admin.port ?? 0, ca: one.roots, servername: "localhost" })
  const first = open()
  await once(first, "secureConnect")
  const second = open()
  const ended = Promise.withResolvers<void>()
  second.on("error", () => ended.resolve()).on("close", () => ended.resolve())
  await ended.promise
  assert.equal(second.authorized, false)
  first.destroy()
})

test("[ADM-19] requests under way are bounded, and the place of one that ended or went away is free again", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("a.sock")
  const waiting = new Set<() => void>()
  const options = { newRequestId: () => "r", onBug: () => undefined, drain: 10 }
  await using _listener = await listenHttp({ ...options, at: { path }, server: makeLocalServer(8) }, (app) => {
    addOnePlace(app, () => new Promise<void>((resolve) => waiting.add(resolve)))
  })
  const openApi = { path: "/admin/v1/openapi.json" }
  const first = askRaw(path, openApi)
  await until("the first to wait", async () => waiting.size === 1)
  const second = await askRaw(path, openApi)
  assert.deepEqual([second.status, second.body["reason"]], [429, "requests-under-way"])
  for (const go of waiting) go()
  assert.equal((await first).status, 200)
  const third = askRaw(path, openApi)
  await until("the third to wait", async () => waiting.size === 2)
  for (const go of waiting) go()
  assert.equal((await third).status, 200)
})

test("[ADM-19] whoever left before the listener could answer takes nobody's place", async () => {
  await using scratch = await makeScratch()
  const [path, server] = [scratch.path("a.sock"), makeLocalServer(8)]
  const left = Promise.withResolvers<void>()
  server.once("request", (_request, response) => void response.once("close", left.resolve).destroy())
  const options = { at: { path }, server, newRequestId: () => "r", onBug: () => undefined, drain: 10 }
  await using _listener = await listenHttp(options, (app) => {
    void app.register(() => left.promise) // it loads for as long
    addOnePlace(app, () => Promise.resolve())
  })
  const openApi = { path: "/admin/v1/openapi.json" }
  await assert.rejects(askRaw(path, openApi))
  assert.equal((await askRaw(path, openApi)).status, 200)
})

test("[ADM-20] a caller without a role for its SPIFFE ID may do nothing, whoever may on the machine", async () => {
  const { client } = await openX509Client(server, "batch")
  const { body } = await refuses({ client }, "no-role", 403)
  assert.match(String(body["next"]), /admin\.roles/)
})

test("[ADM-05][ADM-07][ADM-20] an abort by somebody unknown, and by somebody without a role, changes nothing", async () => {
  const sre = staffToken({ groups: "sre" })
  const post = (order: Order, verb: string, input: object = {}) =>
    ask({ ...order, path: `/rotation/${verb}`, headers: JSON_HEADERS, body: JSON.stringify(input) })
  assert.equal((await post({ token: sre }, "start")).status, 200)
  const { client } = await openX509Client(server, "batch")
  const forged = pairOf(makeTestCa({ trustDomain: "prod.example" }).issueLeaf("spiffe://prod.example/ops/sre/alice"))
  for (const [order, status] of [
    [{}, 401],
    [{ client: forged }, 401],
    [{ token: staffToken({ groups: "sre" }, makeJwtKey()) }, 401],
    [{ client }, 403],
    [{ token: staffToken({}) }, 403],
  ] as const) {
    assert.equal((await post(order, "abort", { dry_run: false })).status, status)
    assert.equal(server.pipeline.trust.record().rotations.x509.phase, "planned")
  }
  const { records } = await server.state.store.auditSearch.search({ type: "admin.refused", limit: 10 })
  const refused = records.filter(({ record }) => record.data.includes('"operation":"rotation.abort"'))
  const proofs = new Set(refused.map(({ record }) => record.actor.split(":")[0]))
  assert.deepEqual(proofs, new Set(["external-token", "x509-svid"]))
  assert.equal((await post({ token: sre }, "abort", { dry_run: false })).status, 200)
})

test("[ADM-33] the Workload API gives the SVID and the roots", async () => {
  const { chain, pkcs8 } = foreign.issueLeaf(FOREIGN)
  const view = fakeView({ svids: [fakeSvid(FOREIGN, { chain, key: new Secret(pkcs8) })], own: foreign.bundle })
  await using peer = await openWorkloadPeer(new FakeSource({ kind: "ready", view }))
  const { certificate, roots } = await fetchCredentials(peer.address)
  assert.equal(certificate?.chain, chain.map((der) => encodePem("CERTIFICATE", der)).join(""))
  assert.equal(certificate.key, encodePem("PRIVATE KEY", pkcs8))
  assert.equal(roots, encodePem("CERTIFICATE", foreign.root.certificate.der))
})

test("[ADM-34] a workload is not taken for the server, whatever its DNS names, and a host name counts where there is no SPIFFE ID", () => {
  const check = (host: string, subjectaltname: string) =>
    // Only the names of a certificate are looked at.
    checkAdminServer(host, { subjectaltname, subject: {} } as PeerCertificate) === undefined
  assert.equal(check("10.0.0.1", "DNS:localhost, URI:spiffe://prod.example/assay/server"), true)
  assert.equal(check("localhost", "DNS:localhost, URI:spiffe://prod.example/ns/shop/sa/web"), false)
  assert.equal(check("localhost", "URI:spiffe://prod.example/assay/server, URI:spiffe://prod.example/x"), false)
  assert.equal(check("localhost", 'DNS:"a, URI:spiffe://prod.example/assay/server"'), false)
  assert.equal(check("localhost", "DNS:localhost"), true)
  assert.equal(check("elsewhere", "DNS:localhost"), false)
})

test("[ADM-33][ADM-34] the command line reaches a server elsewhere by SVID files, by token, and says what is wrong", async () => {
  const url = `https://localhost:${server.admin.port}`
  const files: Readonly<Record<string, string>> = {
    "svid.pem": operator.cert,
    "svid_key.pem": operator.key,
    "bundle.pem": server.roots,
    token: `${staffToken({ groups: "sre" })}\n`,
    "wrong.pem": encodePem("CERTIFICATE", foreign.root.certificate.der),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o600 })
  const status = (...args: string[]) => runAssay(["status", "--server", url, ...args])
  const [bundle, token] = [join(folder, "bundle.pem"), join(folder, "token")]
  const bySvid = await status("--svid-dir", folder, "-o", "yaml")
  assert.match(bySvid.out, /^trust_domain: prod\.example$/m, bySvid.err)
  const byToken = await status("--token-file", token, "--ca", bundle)
  assert.equal(byToken.code, 0, byToken.err)
  const byAddress = url.replace("localhost", "127.0.0.1")
  assert.equal((await runAssay(["status", "--server", byAddress, "--svid-dir", folder])).code, 0)
  for (const [args, code, message] of [
    [
      ["--svid-dir", folder, "--ca", join(folder, "wrong.pem")],
      1,
      /^assay: admin-untrusted: what answers at https:\S+ is not trusted \(\w+\) \(next: name its roots by --ca/,
    ],
    [["--token-file", token], 1, /^assay: admin-untrusted:/],
    [[], 64, /say who you are there: --svid-dir, --workload-api or --token-file/],
    [["--svid-dir", folder, "--workload-api"], 64, /--svid-dir and --workload-api exclude each other/],
    [["--svid-dir", folder, "--config", "x.yaml"], 64, /--server \(or ASSAY_SERVER\) and --config exclude each other/],
    [["--svid-dir", join(folder, "nothing")], 1, /^assay: file-unreadable: file \S+ cannot be read \(ENOENT\)/],
    [["--token-file", join(folder, "svid.pem"), "--ca", bundle], 1, /holds what cannot be a token/],
  ] as const) {
    const ended = await status(...args)
    assert.equal(ended.code, code, ended.err)
    assert.match(ended.err, message)
  }
  const alone = await runAssay(["status", "--svid-dir", folder])
  assert.deepEqual([alone.code, alone.err.includes("--svid-dir has no meaning without --server")], [64, true])
})
