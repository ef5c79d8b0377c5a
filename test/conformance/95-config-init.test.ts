import assert from "node:assert/strict"
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { parseBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { loadServerConfig } from "../../src/main/config/server-config.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { initServerState, openServerState } from "../../src/main/server/state.ts"
import { quietLog } from "../support/quiet-log.ts"
import { refusal } from "../support/refusal.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"

test("[CFG-18] init makes the missing folders for this user alone, and says what the trust domain is", async () => {
  await using place = await makePlace()
  const { code, out, err } = await runAssay(["init", "-c", place.file, "--make-sealing-key"])
  assert.equal(code, 0, err)
  assert.equal(parseBundle(out, parseTrustDomain("prod.example")).x509Authorities.length, 1)
  for (const folder of ["state", "state/db", "state/keys", "secret", "secret/one"]) {
    assert.equal((await stat(place.path(folder))).mode & 0o777, 0o700, folder)
  }
  for (const file of ["state/db/assay.db", "secret/one/sealing.key"]) {
    assert.equal((await stat(place.path(file))).mode & 0o777, 0o600, file)
  }
})

test("[CFG-18] init keeps a sealing key that is there, and what it makes opens with it", async () => {
  await using place = await makePlace()
  await mkdir(place.path("secret/one"), { recursive: true })
  await writeFile(place.path("secret/one/sealing.key"), "ab".repeat(32))
  const { code, err } = await runAssay(["init", "-c", place.file, "--make-sealing-key"])
  assert.equal(code, 0, err)
  assert.equal(await readFile(place.path("secret/one/sealing.key"), "utf8"), "ab".repeat(32))
  await openAndClose(place)
})

test("[CFG-18] init that failed between its steps finishes when it is run again", async () => {
  await using place = await makePlace()
  const config = await loadServerConfig(place.file, makeCelConditions().compile)
  await mkdir(place.path("secret/one"), { recursive: true })
  await writeFile(place.path("secret/one/sealing.key"), "ab".repeat(32))
  const lost = new Error("lost")
  const noKey = () => Promise.reject(lost)
  await assert.rejects(initServerState(config, noKey, systemClock, makeSystemRandom()), lost)
  assert.deepEqual(await readdir(place.path("state")), ["db"])
  // Names the root key, then fails where the root's serial is drawn: after the key was written, before the journal.
  let draws = 0
  const random = (bytes: number) => {
    if (draws++ > 0) throw lost
    return makeSystemRandom()(bytes)
  }
  const sealingKey = () => readSealingKey(config, {})
  await assert.rejects(initServerState(config, sealingKey, systemClock, random), lost)
  assert.equal((await readdir(place.path("state/keys"))).length, 1)
  const { code, err } = await runAssay(["init", "-c", place.file, "--make-sealing-key"])
  assert.equal(code, 0, err)
  await openAndClose(place)
})

test("[CFG-19] init refuses where there is a trust domain, and makes no sealing key for it", async () => {
  await using place = await makePlace()
  assert.equal((await runAssay(["init", "-c", place.file, "--make-sealing-key"])).code, 0)
  const other = place.path("other.yaml")
  await writeFile(other, configText(place, "elsewhere/sealing.key"))
  const { code, out, err } = await runAssay(["init", "-c", other, "--make-sealing-key"])
  assert.deepEqual([code, out], [1, ""])
  assert.match(err, /^assay: already-exists: there is a store at ".*assay\.db" already/)
  assert.deepEqual((await readdir(place.directory)).sort(), ["assay.yaml", "other.yaml", "secret", "state"])
})

test("[CFG-19] init without a sealing key makes nothing and names its path", async () => {
  await using place = await makePlace()
  const { code, err } = await runAssay(["init", "-c", place.file])
  assert.equal(code, 1)
  assert.match(
    err,
    /^assay: sealing-key-missing: there is no sealing key at ".*sealing\.key" .*--make-sealing-key\)\n$/,
  )
  assert.deepEqual(await readdir(place.directory), ["assay.yaml"])
})

test("[CFG-19] init that shall make a sealing key and is not told where makes nothing, and says how it is told", async () => {
  await using place = await makePlace()
  const { keys: _, ...rest } = JSON.parse(configText(place))
  await writeFile(place.file, JSON.stringify({ ...rest, keys: { directory: place.path("keys") } }))
  const { code, err } = await runAssay(["init", "-c", place.file, "--make-sealing-key"])
  assert.equal(code, 1)
  assert.match(err, /^assay: sealing-key-missing: .* \(next: .*name a file by keys\.sealing_key_file, .*\)\n$/)
  assert.deepEqual(await readdir(place.directory), ["assay.yaml"])
})

test("[CFG-19] a failure names the path, and init works once its reason is gone", async () => {
  await using place = await makePlace()
  await writeFile(place.path("state"), "a file where a folder has to be")
  const blocked = await runAssay(["init", "-c", place.file, "--make-sealing-key"])
  assert.equal(blocked.code, 1)
  assert.match(
    blocked.err,
    /^assay: folder-unusable: folder ".*\/state\/db" of storage\.sqlite cannot be made \(E[A-Z]+\)/,
  )
  assert.deepEqual((await readdir(place.directory)).sort(), ["assay.yaml", "state"])
  await writeFile(place.file, configText(place).replaceAll("state/", "fresh/"))
  assert.equal((await runAssay(["init", "-c", place.file, "--make-sealing-key"])).code, 0)
})

test("[CFG-19] a server whose key directory is mistyped names it and makes none", async () => {
  await using place = await makePlace()
  assert.equal((await runAssay(["init", "-c", place.file, "--make-sealing-key"])).code, 0)
  await writeFile(place.file, configText(place).replace("state/keys", "state/kyes"))
  const config = await loadServerConfig(place.file, makeCelConditions().compile)
  const opening = openServerState(config, await readSealingKey(config, {}), quietLog)
  await assert.rejects(opening, refusal("not-found", "key-directory-missing"))
  assert.deepEqual((await readdir(place.path("state"))).sort(), ["db", "keys"])
})

interface Place extends Scratch {
  /** The configuration; nothing that it names is there yet. */
  readonly file: string
}

async function makePlace(): Promise<Place> {
  const scratch = await makeScratch("init")
  await chmod(scratch.directory, 0o755)
  const file = scratch.path("assay.yaml")
  await writeFile(file, configText(scratch))
  return { ...scratch, file }
}

function configText({ path }: Scratch, sealingKey = "secret/one/sealing.key"): string {
  return JSON.stringify({
    trust_domain: "prod.example",
    storage: { sqlite: path("state/db/assay.db") },
    keys: { directory: path("state/keys"), sealing_key_file: path(sealingKey) },
  })
}

/** Rejects unless all that was made fits together. */
async function openAndClose({ file }: Place): Promise<void> {
  const config = await loadServerConfig(file, makeCelConditions().compile)
  await using stack = new AsyncDisposableStack()
  const { store, keys, crypto } = await openServerState(config, await readSealingKey(config, {}), quietLog)
  stack.use(crypto)
  stack.use(store)
  const record = await store.authorityJournal.read()
  const [root] = record?.roots ?? []
  assert.ok(root !== undefined)
  await keys.open(root.keyId)
}
