import assert from "node:assert/strict"
import { appendFile, readFile, writeFile } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { makeSealMac } from "../../src/adapters/disk-keys/seal-mac.ts"
import { openAuditReader } from "../../src/adapters/sqlite/audit-reader.ts"
import { openSqliteStore, type SqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { makeAuditSeals } from "../../src/app/audit/seal-audit.ts"
import { encodeEnvelope, parseEnvelope } from "../../src/core/audit/envelope.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { initServerState } from "../../src/main/server/state.ts"
import { FIXTURE_NOW, fixtureGrant } from "../support/issuance-fixtures.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

test("[AUD-20] a line is CloudEvents 1.0 with what auditors ask for, and is read back as the same record", async () => {
  await using made = await makeStore()
  const record = made.records().at(-2) ?? assert.fail()
  const previous = made.records().at(-3)?.hash
  const line = encodeEnvelope("prod.example", record, previous)
  assert.deepEqual(JSON.parse(line), {
    specversion: "1.0",
    id: `${record.sequence}-${record.hash?.slice(0, 16)}`,
    source: "spiffe://prod.example",
    type: "io.assay.svid.granted.v1",
    time: new Date(FIXTURE_NOW * 1000).toISOString(),
    subject: "spiffe://prod.example/ns/shop/sa/web",
    datacontenttype: "application/json",
    sequence: String(record.sequence),
    previoushash: previous,
    hash: record.hash,
    data: {
      actor: record.actor,
      requestId: record.requestId,
      decision: "permit",
      ...JSON.parse(record.data),
    },
  })
  assert.deepEqual(parseEnvelope(line), record)
  const decisions = ["svid.granted", "admin.permitted", "admin.refused", "lineage.violated", "audit.sealed"].map(
    (type) => {
      return JSON.parse(encodeEnvelope("prod.example", { ...record, type }, previous)).data.decision
    },
  )
  assert.deepEqual(decisions, ["permit", "permit", "deny", "deny", "record"])
  for (const foreign of ["", "{}", "[]", line.slice(0, -2), line.replace("io.assay", "org.other")]) {
    assert.throws(() => parseEnvelope(foreign), { code: "malformed" })
  }
})

test("[AUD-21] verify finds a store whole beside its server, and says how far it is sealed", async () => {
  await using made = await makeStore()
  const text = await runAssay(["audit", "verify", "-c", made.config])
  assert.deepEqual([text.code, text.err], [0, ""])
  assert.match(
    text.out,
    /^the audit log is whole: 23 records\nnewest: record 23, hash [0-9a-f]{64}\nsealed up to record 22\n$/,
  )
  const json = await runAssay(["audit", "verify", "-c", made.config, "-o", "json"])
  assert.deepEqual([JSON.parse(json.out).whole, JSON.parse(json.out).records], [true, 23])
})

test("[AUD-21] verify names the record that was changed in the store, what that means, and exits 3", async () => {
  await using made = await makeStore()
  made.tamper("UPDATE audit_event SET actor = 'nobody' WHERE seq = 10")
  const ended = await runAssay(["audit", "verify", "-c", made.config, "-o", "json"])
  assert.equal(ended.code, 3)
  const { broken } = JSON.parse(ended.out)
  assert.deepEqual([broken.sequence, broken.kind], [10, "changed"])
  assert.match(broken.meaning, /not as it was written/)
})

test("[AUD-21] verify exits 4 when the end was not sealed for more than 10 minutes of records", async () => {
  await using made = await makeStore()
  await made.store.auditLog.append(fixtureGrant("late"))
  await made.store.auditLog.append({ ...fixtureGrant("later"), at: FIXTURE_NOW + 601 })
  assert.equal((await runAssay(["audit", "verify", "-c", made.config])).code, 4)
})

test("[AUD-22] search finds by each field, newest first, and says where it stopped", async () => {
  await using made = await makeStore()
  const search = async (...flags: readonly string[]) => {
    const ended = await runAssay(["audit", "search", "-c", made.config, "-o", "json", ...flags])
    assert.equal(ended.code, 0, ended.err)
    const found: readonly { readonly sequence: string }[] = JSON.parse(ended.out)
    return { found: found.map(({ sequence }) => Number(sequence)), told: ended.err }
  }
  assert.deepEqual((await search("--serial", serialOf(7))).found, [10])
  const printed = serialOf(7)
    .toUpperCase()
    .replaceAll(/(?<=^(?:..)+)(?=..)/g, ":")
  assert.deepEqual((await search("--serial", printed)).found, [10], "as OpenSSL and browsers print it")
  assert.deepEqual((await search("--request", `request-${serialOf(7)}`)).found, [10])
  assert.deepEqual((await search("--type", "audit.started")).found, [1])
  assert.deepEqual((await search("--actor", "nobody")).found, [])
  const identity = ["--identity", "spiffe://prod.example/ns/shop/sa/web"]
  assert.equal((await search(...identity)).found.length, 20)
  assert.deepEqual(await search(...identity, "--limit", "2"), {
    found: [22, 21],
    told: "there are older records: go on with --before 21\n",
  })
  assert.deepEqual((await search(...identity, "--limit", "2", "--before", "21")).found, [20, 19])
  const since = new Date((FIXTURE_NOW + 1) * 1000).toISOString()
  assert.deepEqual((await search(...identity, "--since", since)).found, [])
  assert.equal((await search(...identity, "--until", since)).found.length, 20)
  const table = await runAssay(["audit", "search", "-c", made.config, "--serial", serialOf(7)])
  assert.match(table.out, /^RECORD +TIME +TYPE +ACTOR +REQUEST +DATA\n10 /)
})

test("[AUD-23] what is exported, whole or from a record on, verifies as a file, also with lines that are twice", async () => {
  await using made = await makeStore()
  for (const after of [0, 9]) {
    const { out, code } = await runAssay(["audit", "export", "-c", made.config, "--after", String(after)])
    assert.equal(code, 0)
    const lines = out.trimEnd().split("\n")
    assert.equal(lines.length, 23 - after)
    const file = made.path(`export-${after}.jsonl`)
    await writeFile(file, out)
    await appendFile(file, `${lines.at(-1)}\n`)
    const whole = await runAssay(["audit", "verify", "-c", made.config, "--file", file, "-o", "json"])
    assert.deepEqual([whole.code, JSON.parse(whole.out).records], [0, 23 - after])
    await writeFile(
      file,
      (await readFile(file, "utf8")).replace(`"serial":"${serialOf(12)}"`, `"serial":"${serialOf(99)}"`),
    )
    const changed = await runAssay(["audit", "verify", "-c", made.config, "--file", file, "-o", "json"])
    assert.deepEqual([changed.code, JSON.parse(changed.out).broken.sequence], [3, 15])
  }
})

test("[AUD-24] a running server is asked, and records who searched; without one its store is read, with the same outcome", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  await initTrustDomain(setup)
  const search = (...flags: readonly string[]) => runAssay(["audit", "search", "-c", setup.configFile, ...flags])
  const wanted = ["--type", "authority.created", "-o", "json"]
  const before = await search(...wanted)
  assert.deepEqual([before.code, JSON.parse(before.out).length], [0, 1], before.err)
  {
    await using _server = await startServerProcess(setup)
    assert.deepEqual(await search(...wanted), before)
    const recorded = await search("--type", "admin.permitted", "-o", "json", "--limit", "1")
    const [record] = JSON.parse(recorded.out)
    assert.deepEqual([record.data.operation, record.data.target], ["audit.search", "admin.permitted"])
    assert.match(record.data.actor, /^unix:uid=\d+,/)
    assert.match(recorded.err, /go on with --before \d+/)
    const refused = await search("--type", "no type")
    assert.match(refused.err, /type: must be a type of record/)
    const one = await search("--identity", "spiffe://prod.example/assay/server", "-o", "yaml", "--limit", "1")
    assert.match(one.out, /^ {2}source: spiffe:\/\/prod.example$/m)
    const away = await runAssay(["audit", "search", "--admin-socket", scratch.path("none.sock")])
    assert.deepEqual([away.code, away.err.includes("admin-unreachable")], [1, true])
  }
  assert.equal((await search(...wanted)).out, before.out)
})

interface MadeStore extends AsyncDisposable {
  readonly config: string
  readonly store: SqliteStore
  readonly path: (name: string) => string
  readonly records: () => ReturnType<ReturnType<typeof openAuditReader>["read"]>
  readonly tamper: (sql: string) => void
}

/** What `assay init` makes, 20 grants, and a seal; still open, as by a server. */
async function makeStore(): Promise<MadeStore> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch())
  const setup = await makeServerSetup(scratch.directory)
  const config = setup.parse({})
  const key = await readSealingKey(config, {})
  await initServerState(config, async () => key, systemClock, makeSystemRandom())
  const path = config.storage.sqlite
  const store = stack.use(await openSqliteStore({ path, mode: "open" }))
  for (let i = 0; i < 20; i++) await store.auditLog.append(fixtureGrant(serialOf(i)))
  const incarnation = (await store.authorityJournal.read())?.incarnation ?? assert.fail()
  const origin = { trustDomain: config.trustDomain, incarnation }
  const deps = { chain: store.auditChain, audit: store.auditLog, origin, mac: makeSealMac(key), clock: systemClock }
  await makeAuditSeals({ ...deps, failed: () => assert.fail() }).seal()
  const disposing = stack.move()
  return {
    config: setup.configFile,
    store,
    path: scratch.path,
    records: () => {
      using reader = openAuditReader(path)
      return reader.read(0, 1000)
    },
    tamper: (sql) => {
      using db = new DatabaseSync(path, { timeout: 10_000 })
      db.exec(sql)
    },
    [Symbol.asyncDispose]: () => disposing[Symbol.asyncDispose](),
  }
}

function serialOf(number: number): string {
  return number.toString(16).padStart(34, "a")
}
