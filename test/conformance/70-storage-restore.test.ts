import assert from "node:assert/strict"
import { once } from "node:events"
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { DatabaseSync } from "node:sqlite"
import { test } from "node:test"
import { openDiskWitness } from "../../src/adapters/disk-keys/disk-witness.ts"
import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { encodeAuthority, parseAuthority } from "../../src/adapters/sqlite/authority-json.ts"
import { backupStore } from "../../src/adapters/sqlite/backup-store.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { restoreTrustDomain } from "../../src/app/authority/restore-trust-domain.ts"
import { openTrustState } from "../../src/app/authority/trust-state.ts"
import { demandNewest, makeWitnessedJournal } from "../../src/app/authority/witnessed-journal.ts"
import { makeReplayLogSince } from "../../src/app/exchange/replay-log-since.ts"
import { openRevocationView } from "../../src/app/exchange/revocation-view.ts"
import type { RotationState } from "../../src/core/authority/rotation-state.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { Secret } from "../../src/core/secret.ts"
import { adminSocketPath } from "../../src/main/admin-socket-path.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { restoreServerState } from "../../src/main/server/restore.ts"
import { initServerState } from "../../src/main/server/state.ts"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import type { AuthorityWitness } from "../../src/ports/authority-witness.ts"
import { openEvidence } from "../support/evidence-under-test.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { FIXTURE_START, openIssueFixture } from "../support/issue-fixture.ts"
import { refusal } from "../support/refusal.ts"
import { ALICE, openControlled, WISH } from "../support/rotation/controlled.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

const KEY = new Secret(new Uint8Array(32).fill(7))

test("[STO-30] each authority record is beside the keys before consumers see it, and one that could not be written is made up for", async () => {
  const { store } = await openIssueFixture()
  const witness = memoryWitness()
  const failures: unknown[] = []
  const journal = makeWitnessedJournal(store.authorityJournal, witness, (thrown) => failures.push(thrown), TIME.clock)
  const trust = await openTrustState(journal)
  const grown = (record: AuthorityRecord) => ({ ...record, epoch: record.epoch + 1 })
  const seen: (number | undefined)[] = []
  witness.onWrite = () => seen.push(trust.snapshot().epoch)
  const before = trust.snapshot().epoch
  await trust.update(grown)
  assert.deepEqual([seen, witness.record?.epoch, trust.snapshot().epoch], [[before], before + 1, before + 1])
  witness.onWrite = () => {
    throw new IdentityError("not-ready", "disk full")
  }
  await trust.update(grown)
  assert.deepEqual([failures.length, witness.record?.epoch], [1, before + 1])
  witness.onWrite = () => undefined
  await trust.update(grown)
  assert.equal(witness.record?.epoch, trust.snapshot().epoch)
})

test("[STO-30] a key folder that hangs holds up no change of the authorities for longer than 5 s, and is asked once at a time", async () => {
  const { store, clock } = await openIssueFixture()
  const hung = Promise.withResolvers<void>()
  const failures: unknown[] = []
  const written: number[] = []
  const witness: AuthorityWitness = {
    read: async () => undefined,
    write: async ({ epoch }) => {
      written.push(epoch)
      await hung.promise
    },
  }
  const journal = makeWitnessedJournal(store.authorityJournal, witness, (thrown) => failures.push(thrown), clock)
  const trust = await openTrustState(journal)
  const grow = () => trust.update((record) => ({ ...record, epoch: record.epoch + 1 }))
  const { epoch } = trust.snapshot()
  const first = grow()
  await clock.untilSleeping(1)
  await clock.advance(5)
  await first
  await grow()
  assert.deepEqual([written, failures.length, trust.snapshot().epoch], [[epoch + 1], 2, epoch + 2])
  hung.resolve()
  await hung.promise
  await grow()
  assert.deepEqual(written, [epoch + 1, epoch + 3])
})

test("[STO-30] what stands beside the keys is believed only as the sealing key wrote it", async () => {
  await using scratch = await makeScratch()
  const open = (sealingKey: Secret) =>
    openDiskWitness({ directory: scratch.directory, sealingKey, encode: encodeAuthority, parse: parseAuthority })
  const witness = open(KEY)
  assert.equal(await witness.read(), undefined)
  const { trust } = await openIssueFixture()
  await witness.write(trust.record())
  await witness.write({ ...trust.record(), restoredAt: 5 })
  assert.deepEqual(await open(KEY).read(), { ...trust.record(), restoredAt: 5 })
  const file = scratch.path("authority.witness")
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  await assert.rejects(open(new Secret(new Uint8Array(32))).read(), refusal("not-ready", "witness-damaged"))
  const text = await readFile(file, "utf8")
  for (const damaged of [text.replace('"epoch":', '"epoch":1'), text.slice(0, -1), "", "x".repeat(70)]) {
    await writeFile(file, damaged)
    await assert.rejects(open(KEY).read(), refusal("not-ready", "witness-damaged"))
  }
})

test("[STO-30][ROT-09] the copy of an emergency that leaves 20,000 consumers behind is read at the next start, however long their names are", async () => {
  await using scratch = await makeScratch()
  const coders = { encode: encodeAuthority, parse: parseAuthority }
  const witness = openDiskWitness({ directory: scratch.directory, sealingKey: KEY, ...coders })
  const { trust } = await openIssueFixture()
  const name = (i: number) =>
    `production-east/checkout/checkout-7d9f8b6c5d-${i} spiffe://prod.example/ns/checkout/sa/${i}`
  const consumers = Array.from({ length: 20_000 }, (_, i) => name(i).padEnd(300, "x"))
  const waiver = { point: "sp1", by: "alice", reason: "stolen", at: FIXTURE_NOW, consumers } as const
  const x509: RotationState = {
    ...{ phase: "retiring", id: "r-1", old: "a", others: [], next: "b", keyId: "root-2", epoch: 2 },
    ...{ epochSince: FIXTURE_NOW, startedAt: FIXTURE_NOW, since: FIXTURE_NOW, auto: false, stopped: undefined },
    ...{ paused: false, emergency: true, canary: { namespaces: [], prefixes: [] } },
    waivers: [waiver, { ...waiver, point: "sp2" }],
  }
  const record = { ...trust.record(), rotations: { ...trust.record().rotations, x509 } }
  await witness.write(record)
  assert.deepEqual((await witness.read())?.rotations.x509, x509)
})

test("[STO-31] a store that is behind is refused, one that is ahead is taken and witnessed", async () => {
  const { store, trust } = await openIssueFixture()
  const record = trust.record()
  const witness = memoryWitness()
  await demandNewest(store.authorityJournal, witness)
  assert.deepEqual(witness.record, record)
  for (const known of [
    { ...record, revision: record.revision + 1 },
    { ...record, incarnation: "another" },
  ]) {
    witness.record = known
    await assert.rejects(demandNewest(store.authorityJournal, witness), refusal("not-ready", "store-set-back"))
    assert.equal(witness.record, known)
  }
  witness.record = { ...record, revision: record.revision - 1 }
  await demandNewest(store.authorityJournal, witness)
  assert.deepEqual(witness.record, record)
})

test("[STO-31][STO-32][STO-34] a real server refuses a database that was put back, and init a key folder whose store is lost", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  await initTrustDomain(setup)
  const database = scratch.path("assay.db")
  const copy = scratch.path("copy.db")
  const restore = (...args: readonly string[]) => runAssay(["restore", "-c", setup.configFile, ...args])
  assert.equal((await runAssay(["backup", "-c", setup.configFile, "--to", copy])).code, 0)
  {
    await using _server = await startServerProcess(setup) // makes the JWT keys
    const running = await restore("--yes")
    assert.deepEqual([running.code, /server-runs/.test(running.err)], [1, true])
  }
  const over = await restore("--from", copy, "--yes")
  assert.deepEqual([over.code, /already-exists/.test(over.err)], [1, true])

  await putBack(copy, database)
  const server = await runAssay(["server", "-c", setup.configFile])
  assert.equal(server.code, 1)
  assert.match(server.err, /store-set-back.*assay restore/)

  await removeStore(database)
  const init = await runAssay(["init", "-c", setup.configFile])
  assert.match(init.err, /store-lost.*assay restore/)
  assert.match((await runAssay(["server", "--init", "-c", setup.configFile])).err, /store-lost/)

  const dry = await restore("--without-store", "-o", "json")
  assert.deepEqual([dry.code, JSON.parse(dry.out).changed, JSON.parse(dry.out).store], [0, false, null])
  assert.match(dry.err, /nothing was changed/)
})

test("[STO-34] a server that is too busy to answer at its socket is not taken for one that is gone", async () => {
  await using scratch = await makeScratch()
  const config = (await makeServerSetup(scratch.directory)).parse({})
  const key = await readSealingKey(config, {})
  await initServerState(config, async () => key, systemClock, makeSystemRandom())
  const path = adminSocketPath(config)
  const server = createServer((socket) => socket.destroy())
  await once(server.listen({ path, backlog: 1 }), "listening")
  const restore = () => restoreServerState(config, key, { from: undefined, withoutStore: false, dryRun: false })
  // In one turn of the event loop, in which the server takes none: more than it lets wait.
  const waiting = Array.from({ length: 8 }, () => connect(path).on("error", () => undefined))
  await assert.rejects(restore(), refusal("conflict", "server-runs"))
  for (const socket of waiting) socket.destroy()
  await once(server.close(), "close")
})

test("[STO-34] a restore that is only tried leaves copy and folder as they were, and one that fails puts nothing in the store's place", async () => {
  await using scratch = await makeScratch()
  const config = (await makeServerSetup(scratch.directory)).parse({})
  const key = await readSealingKey(config, {})
  await initServerState(config, async () => key, systemClock, makeSystemRandom())
  const [database, copy] = [scratch.path("assay.db"), scratch.path("copy.db")]
  await backupStore(database, copy)
  await removeStore(database)
  const seen = async () => ({ copy: await readFile(copy, "base64"), files: await readdir(scratch.directory) })
  const before = await seen()
  const restore = (from: string, dryRun: boolean) =>
    restoreServerState(config, key, { from, withoutStore: false, dryRun })
  const { record, found } = await restore(copy, true)
  assert.equal(record.revision, (found?.revision ?? 0) + 1)
  assert.deepEqual(await seen(), before)
  await assert.rejects(restore(scratch.path("none.db"), true), { code: "not-found", next: /--without-store/ })
  const root = (await readdir(config.keys.directory)).find((name) => name.startsWith("root")) ?? assert.fail()
  await rename(`${config.keys.directory}/${root}`, scratch.path("keys", `aside-${root}`))
  await assert.rejects(restore(copy, false), refusal("not-ready", "key-missing"))
  assert.deepEqual(await seen(), before)
  await rename(scratch.path("keys", `aside-${root}`), `${config.keys.directory}/${root}`)
  const done = await restore(copy, false)
  const after = { ...before, files: [...before.files, "assay.db"].sort() }
  assert.deepEqual([await seen(), done.found?.revision], [after, found?.revision])
})

test("[STO-33] backup copies what is committed while the store is written, for its owner alone, and overwrites nothing", async () => {
  await using scratch = await makeScratch()
  const [path, copy] = [scratch.path("s.db"), scratch.path("copy.db")]
  await using store = await openSqliteStore({ path, mode: "create" })
  const writing = Array.from({ length: 300 }, (_, i) =>
    store.issuanceLog.recordIntent(fixtureIntent(`a${i}`), fixtureGrant(`a${i}`), 0, NO_BANS),
  )
  await writing[0]
  const bytes = await backupStore(path, copy)
  await Promise.all(writing)
  const { mode, size } = await stat(copy)
  assert.deepEqual([mode & 0o777, size], [0o600, bytes])
  using db = new DatabaseSync(copy)
  const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"])
  assert.ok(count("intent") >= 1)
  assert.equal(count("audit_event"), count("intent"), "half of a commit")
  await assert.rejects(backupStore(path, copy), refusal("already-exists"))
  await assert.rejects(backupStore(scratch.path("none.db"), scratch.path("b.db")), refusal("not-found"))
  await mkdir(scratch.path("folder"))
  await assert.rejects(backupStore(path, scratch.path("no", "such", "b.db")), refusal("not-ready", "backup-failed"))
})

test("[INV-24] a restored store is another incarnation, far ahead of every epoch, with the authorities of who knows more", async () => {
  const { store, trust, keys } = await openIssueFixture()
  const backup = trust.record()
  const witnessed = { ...backup, revision: backup.revision + 9, epoch: backup.epoch + 5, jwtKeys: [] }
  for (const [known, source] of [
    [witnessed, "key-folder"],
    [{ ...backup, jwtKeys: [] }, "store"],
    [undefined, "store"],
  ] as const) {
    const witness = memoryWitness(known)
    const before = await store.authorityJournal.read()
    const deps = { journal: store.authorityJournal, witness, audit: store.auditLog, chain: store.auditChain, keys }
    const { record } = await restoreTrustDomain({ ...deps, ...TIME, actor: "alice" })
    const published = Math.max(before?.epoch ?? 0, known?.epoch ?? 0)
    assert.ok(record.epoch >= published + 1_000_000 && record.requiredEpoch === record.epoch)
    assert.ok(record.incarnation !== before?.incarnation && record.incarnation !== known?.incarnation)
    assert.deepEqual([await store.authorityJournal.read(), witness.record], [record, record])
    assert.equal(record.jwtKeys.length, source === "key-folder" ? 0 : (before?.jwtKeys.length ?? 0))
    const event = store.events.at(-1)
    assert.ok(event?.type === "store.restored" && event.actor === "alice" && event.source === source)
    assert.equal((await openTrustState(store.authorityJournal)).snapshot().own.sequence, record.epoch)
  }
})

test("[INV-24] a lost store is made again from the key folder, and a rotation stands where it was, with everybody asked anew", async () => {
  const it = await openControlled({ rows: [] })
  await it.operate.start({ ...WISH, auto: false }, ALICE)
  await it.controller.drive()
  await it.operate.advance(ALICE)
  await it.controller.drive()
  const witnessed = it.trust.record()
  assert.equal(witnessed.rotations.x509.phase, "published")
  const store = openMemoryStore()
  const witness = memoryWitness(witnessed)
  const deps = { journal: store.authorityJournal, audit: store.auditLog, chain: store.auditChain }
  const restore = (keys: { list: () => Promise<readonly string[]> }) =>
    restoreTrustDomain({ ...deps, ...TIME, witness, keys, actor: "alice" })
  await assert.rejects(restore({ list: async () => [] }), refusal("not-ready", "key-missing"))
  assert.equal(await store.authorityJournal.read(), undefined)
  const { record } = await restore(it.fixture.keys)
  assert.deepEqual(record.roots, witnessed.roots)
  const rotation = record.rotations.x509
  assert.ok(rotation.phase === "published" && rotation.epoch === record.epoch)
  const nothing = { ...deps, ...TIME, journal: openMemoryStore().authorityJournal, keys: it.fixture.keys }
  await assert.rejects(
    restoreTrustDomain({ ...nothing, witness: memoryWitness(), actor: "alice" }),
    refusal("not-found"),
  )
})

test("[STO-35] a proof that may have been used before the restore counts as used, one that cannot have been is good once", async () => {
  const log = openMemoryStore().replayLog
  const restored = makeReplayLogSince(log, 1000)
  const claim = (id: string, from: number, until: number) =>
    restored.claim({ use: "client-assertion", id, from, until })
  assert.equal(await claim("a", 900, 1200), "replayed")
  assert.equal(await claim("b", 1000, 1300), "replayed")
  assert.equal(await claim("c", 1001, 1300), "claimed")
  assert.equal(await claim("c", 1001, 1300), "replayed")
  assert.equal(await claim("lives-long", 900, 1000 + 86_401), "replayed")
  assert.equal(await claim("says-nothing", 0, 1300), "replayed")
  assert.equal(await claim("says-nothing", 0, 1000 + 86_401), "claimed")
  assert.equal(makeReplayLogSince(log, undefined), log)
})

test("[STO-36] own tokens from before the restore count as revoked, those after it do not", async () => {
  const { revocationLog } = openMemoryStore()
  const common = { log: revocationLog, clock: new FakeClock(2000), steady: () => true, onReadFailed: raise }
  const view = await openRevocationView({ ...common, restoredAt: 1000 })
  const token = (issuedAt: number | undefined) => ({ tokenId: "t", subjects: ["s"], issuedAt })
  assert.deepEqual(
    [undefined, 999, 1000, 1001].map((issuedAt) => view.isRevoked(token(issuedAt))),
    [true, true, true, false],
  )
  const never = await openRevocationView({ ...common, restoredAt: undefined })
  assert.equal(never.isRevoked(token(undefined)), false)
})

test("[STO-37] after a restore a rotation waits for somebody unknown, and for what every authority may have signed", async () => {
  const evidence = await openEvidence({ unloggedUntil: FIXTURE_START + 3600, tokenKeys: ["kid-1"] })
  evidence.clock.time = FIXTURE_START
  const { consumers, lastExpiry } = await evidence.read()
  assert.deepEqual(
    consumers.map(({ id, grade, notAfter }) => [id, grade, notAfter]),
    [["beyond-the-bound", "lease", FIXTURE_START + 3600]],
  )
  assert.equal(lastExpiry.get("kid-1"), FIXTURE_START + 3600)
  evidence.clock.time = FIXTURE_START + 3600
  const later = await evidence.read()
  assert.deepEqual([later.consumers.length, later.lastExpiry.size], [0, 0])
})

interface MemoryWitness extends AuthorityWitness {
  record: AuthorityRecord | undefined
  /** May throw. */
  onWrite: () => void
}

function memoryWitness(record?: AuthorityRecord): MemoryWitness {
  const witness: MemoryWitness = {
    record,
    onWrite: () => undefined,
    read: async () => witness.record,
    write: async (next) => {
      witness.onWrite()
      witness.record = next
    },
  }
  return witness
}

async function putBack(copy: string, database: string): Promise<void> {
  await removeStore(database)
  await writeFile(database, await readFile(copy), { mode: 0o600 })
}

async function removeStore(database: string): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) await rm(`${database}${suffix}`, { force: true })
}

function raise(thrown: unknown): never {
  throw thrown
}
const TIME = { clock: new FakeClock(FIXTURE_NOW), random: makeSystemRandom() }
