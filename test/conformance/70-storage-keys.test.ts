import assert from "node:assert/strict"
import { webcrypto } from "node:crypto"
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { openDiskKeys } from "../../src/adapters/disk-keys/open-disk-keys.ts"
import { sealKey, unsealKey } from "../../src/adapters/disk-keys/sealed-file.ts"
import { makeSealingKeyFile, parseSealingKey } from "../../src/adapters/disk-keys/sealing-key.ts"
import { makeSoftwareKeys } from "../../src/adapters/process-keys/software-keys.ts"
import { Secret } from "../../src/core/secret.ts"
import type { KeyStore } from "../../src/ports/keys.ts"
import { refusal } from "../support/refusal.ts"
import { makeScratch } from "../support/scratch.ts"

const SEALING = parseSealingKey("ab".repeat(32))
const OTHER = parseSealingKey("cd".repeat(32))
const NAME = { keyId: "root-1", algorithm: "ec-p256" } as const
const KEY = new Secret(new Uint8Array(138).fill(0x41))

test("[STO-20] seals the same key differently each time, and the key is not readable in it", () => {
  const [one, two] = [sealKey(NAME, KEY, SEALING), sealKey(NAME, KEY, SEALING)]
  assert.notDeepEqual(one.subarray(10), two.subarray(10))
  assert.equal(Buffer.from(one).includes(Buffer.alloc(8, 0x41)), false)
  const { algorithm, pkcs8 } = unsealKey("root-1", one, SEALING)
  assert.equal(algorithm, "ec-p256")
  assert.deepEqual(
    pkcs8.expose((bytes) => [...bytes]),
    KEY.expose((bytes) => [...bytes]),
  )
})

test("[STO-20][STO-21] refuses another sealing key, another key id, and a change of any byte", () => {
  const file = sealKey(NAME, KEY, SEALING)
  assert.throws(() => unsealKey("root-1", file, OTHER), refusal("not-ready", "sealing-key-mismatch"))
  assert.throws(() => unsealKey("root-2", file, SEALING), refusal("not-ready", "sealing-key-mismatch"))
  for (let i = 0; i < file.length; i++) {
    const changed = Uint8Array.from(file, (byte, at) => (at === i ? byte ^ 1 : byte))
    assert.throws(() => unsealKey("root-1", changed, SEALING), refusal("not-ready"), `byte ${i}`)
  }
  for (let length = 0; length < file.length; length++) {
    assert.throws(
      () => unsealKey("root-1", file.subarray(0, length), SEALING),
      refusal("not-ready"),
      `length ${length}`,
    )
  }
})

test("[STO-21] says what to do when the store is opened with the wrong sealing key", async () => {
  await using scratch = await makeScratch()
  await (await openAt(scratch.directory, SEALING)).create("root-1", "ec-p256")
  const keys = await openAt(scratch.directory, OTHER)
  await assert.rejects(keys.open("root-1"), /give the sealing key/)
})

test("[STO-22] refuses a key directory that is not there or that others may enter, and writes key files for the owner alone", async () => {
  await using scratch = await makeScratch()
  await assert.rejects(openAt(scratch.path("keys"), SEALING), refusal("not-found", "key-directory-missing"))
  await mkdir(scratch.path("keys"), { mode: 0o700 })
  await (await openAt(scratch.path("keys"), SEALING)).create("root-1", "ec-p256")
  assert.equal((await stat(scratch.path("keys/root-1.sealed"))).mode & 0o777, 0o600)
  await chmod(scratch.path("keys"), 0o750)
  await assert.rejects(openAt(scratch.path("keys"), SEALING), refusal("not-ready", "key-directory-open"))
})

test("[STO-23] never overwrites a key or a sealing key file", async () => {
  await using scratch = await makeScratch()
  const keys = await openAt(scratch.directory, SEALING)
  await keys.create("root-1", "ec-p256")
  const before = await readFile(scratch.path("root-1.sealed"))
  await assert.rejects(keys.create("root-1", "ec-p256"), refusal("already-exists"))
  assert.deepEqual(await readFile(scratch.path("root-1.sealed")), before)
  await makeSealingKeyFile(scratch.path("sealing.key"))
  assert.equal((await stat(scratch.path("sealing.key"))).mode & 0o777, 0o600)
  parseSealingKey(await readFile(scratch.path("sealing.key"), "utf8"))
  await writeFile(scratch.path("other.key"), "mine")
  await assert.rejects(makeSealingKeyFile(scratch.path("other.key")), refusal("already-exists"))
  assert.equal(await readFile(scratch.path("other.key"), "utf8"), "mine")
})

function openAt(directory: string, sealingKey: Secret): Promise<KeyStore> {
  return openDiskKeys({ directory, sealingKey, software: makeSoftwareKeys({ crypto: webcrypto }) })
}
