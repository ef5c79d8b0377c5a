import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, test } from "node:test"
import { openAdminClient } from "../../src/adapters/admin-client/open-admin-client.ts"
import { readAuthority } from "../../src/adapters/sqlite/read-authority.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import type { Json, JsonObject } from "../../src/core/json.ts"
import { NEVER } from "../support/issue-fixture.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { Child } from "../support/peers/child.ts"
import { freePort } from "../support/peers/free-port.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

const ROTATION = { path: "/rotation/start", input: {} }
const WEB = { kind: "identity", name: "spiffe://prod.example/ns/shop/sa/web" }
const BAN = { path: "/bans", input: { ...WEB, reason: "stolen", dry_run: false } }
/** Where the server is killed, how it stands then, and whether approving it again does it. */
const CASES = [
  { what: ROTATION, at: "approval", way: "lost", standing: "waiting", again: "done" },
  { what: ROTATION, at: "approval", way: "kept", standing: "approved, not done", again: "done" },
  { what: ROTATION, at: "trace", way: "lost", standing: "approved, not done", again: "done" },
  { what: ROTATION, at: "trace", way: "kept", standing: "begun, end unknown", again: "anew" },
  { what: ROTATION, at: "effect", way: "lost", standing: "begun, end unknown", again: "anew" },
  { what: ROTATION, at: "effect", way: "kept", standing: "begun, end unknown", again: "refused" },
  { what: ROTATION, at: "outcome", way: "lost", standing: "begun, end unknown", again: "refused" },
  { what: ROTATION, at: "outcome", way: "kept", standing: "done", again: "refused" },
  { what: BAN, at: "approval", way: "lost", standing: "waiting", again: "done" },
  { what: BAN, at: "approval", way: "kept", standing: "approved, not done", again: "done" },
  { what: BAN, at: "effect", way: "lost", standing: "approved, not done", again: "done" },
  { what: BAN, at: "effect", way: "kept", standing: "begun, end unknown", again: "refused" },
  { what: BAN, at: "outcome", way: "lost", standing: "begun, end unknown", again: "refused" },
  { what: BAN, at: "outcome", way: "kept", standing: "done", again: "refused" },
] as const

describe("a real server, killed in the middle of an approval", { concurrency: 2, timeout: 900_000 }, () => {
  for (const { what, at, way, standing, again } of CASES) {
    test(`[ADM-28] ${what.path}: killed at the write of the ${at}, ${way}: it is ${standing}, and done once`, async () => {
      await using bench = await openApprovalBench()
      const id = await bench.runVictim(at, way, what)
      await using _server = await bench.startServer()
      const listed = await bench.list()
      assert.match(listed.out, new RegExp(`^${id} +${standing} +\\w+\\.\\w+ `, "m"), listed.err)
      const refused = { code: "conflict", reason: /^proposal-(begun|decided)$/ }
      if (again === "done") assert.match(JSON.stringify(await bench.approve(id)), /"changed\\":true/)
      else await assert.rejects(bench.approve(id), refused)
      if (again === "anew") await bench.approve(await bench.propose(what))
      assert.equal(bench.effects(), 1)
      await assert.rejects(bench.approve(id), refused)
      assert.equal(bench.effects(), 1)
    })
  }
})

type What = (typeof CASES)[number]["what"]
type Way = (typeof CASES)[number]["way"]

/** A store, and two operators: one on the machine, one from elsewhere by token. */
async function openApprovalBench() {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch("approval"))
  const port = await freePort()
  const staff = makeJwtKey()
  const { kid, jwk } = staff.authority
  const jwks = scratch.path("staff.jwks")
  await writeFile(jwks, JSON.stringify({ keys: [{ ...jwk, kid, use: "sig", alg: "ES256" }] }))
  const issuer = { name: "staff", issuer: "https://login.example", audiences: ["admin"], keys: { jwks_file: jwks } }
  const setup = await makeServerSetup(scratch.directory, {
    listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0", admin: `127.0.0.1:${port}` },
    admin: {
      approval: { verbs: ["rotation", "bans"] },
      issuers: [{ ...issuer, required_claims: {}, spiffe_id: "/ops/{{sub}}" }],
      roles: [{ name: "ops", who: { spiffe_id: "/ops/*" }, verbs: ["rotation", "bans", "approvals"] }],
    },
  })
  const { roots } = await initTrustDomain(setup)
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: "https://login.example", aud: "admin", sub: "bob", iat: now, exp: now + 3600 }
  const token = staff.token(claims, { typ: "JWT" })
  const url = new URL(`https://localhost:${port}`)
  const [alice, bob] = [
    openAdminClient({ kind: "socket", path: scratch.path("admin.sock") }),
    openAdminClient({ kind: "https", url, ca: roots, token }),
  ]
  const open = stack.move()
  const propose = async ({ path, input }: What): Promise<string> => {
    const asked = alice.call({ method: "POST", path, input }, NEVER)
    const { message } = await asked.then(() => assert.fail("it did not wait"), toIdentityError)
    return /\(proposal (\w+)\)/.exec(message)?.[1] ?? assert.fail(message)
  }
  const approve = async (id: string): Promise<JsonObject> => {
    const { proposals } = await bob.call({ method: "GET", path: "/approvals", input: {} }, NEVER)
    const digest = digestOf(proposals, id)
    return bob.call({ method: "POST", path: `/approvals/${id}/approve`, input: { digest, dry_run: false } }, NEVER)
  }
  return {
    list: () => runAssay(["approval", "list", "--all", "-c", setup.configFile]),
    propose,
    approve,
    startServer: () => startServerProcess(setup),
    /** A server that dies at `point` while it does what was proposed and approved. */
    runVictim: async (point: string, way: Way, what: What): Promise<string> => {
      const fault = `${new URL("./approval-fault.ts", import.meta.url).href}?point=${point}&way=${way}`
      const args = ["--import", fault, CLI, "server", "--config", setup.configFile]
      const log = scratch.path("victim.log")
      await using child = new Child({ name: `victim ${point} ${way}`, command: process.execPath, args, log })
      await until("listening", () => child.logTail(LOG).includes('"server listens"'), READY)
      const id = await propose(what)
      await assert.rejects(approve(id), { code: "not-ready" })
      assert.equal(await child.ended(READY), undefined, `the victim ended by itself\n${child.logTail()}`)
      return id
    },
    /** Bans that were added, or rotations that were started and not only written down as about to be. */
    effects: (): number => {
      const database = scratch.path("assay.db")
      using db = new DatabaseSync(database, { readOnly: true, timeout: 10_000 })
      const { bans } = db.prepare("SELECT count(*) AS bans FROM audit_event WHERE type = 'ban.added'").get() ?? {}
      const { phase } = readAuthority(database)?.rotations.x509 ?? assert.fail("the trust domain is gone")
      return Number(bans) + (phase === "stable" ? 0 : 1)
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

function digestOf(proposals: Json | undefined, id: string): string {
  const all: readonly unknown[] = Array.isArray(proposals) ? proposals : []
  for (const one of all) if (isObject(one) && one["id"] === id) return String(one["digest"])
  return assert.fail(`no proposal ${id}`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
}

const CLI = join(import.meta.dirname, "../../src/main/cli.ts")
const READY = 90_000
const LOG = 1024 * 1024
