import assert from "node:assert/strict"
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, verify } from "node:crypto"
import { test } from "node:test"
import { SigningThread, type Unsigned } from "../../../../src/adapters/sqlite/signing-thread.ts"
import { until } from "../../../support/until.ts"

const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
const another = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
/** Has no signature of the form that is wanted. */
const unfit = generateKeyPairSync("ed25519").privateKey

test("signs many, each by its key and in order, while it is asked for more", async () => {
  await using opened = await openThread()
  const { thread } = opened
  const groups = [
    makeUnsigned(16, p256),
    makeUnsigned(8, another),
    [...makeUnsigned(5, p256), ...makeUnsigned(5, another)],
  ]
  const signed = groups.map((group) => takeAll(thread, group))
  for (const [index, group] of groups.entries()) {
    const signatures = await signed[index]
    assert.equal(signatures?.length, group.length)
    for (const [at, { key, data }] of group.entries()) {
      const publicKey = createPublicKey(key)
      assert.ok(
        verify("sha256", data, { key: publicKey, dsaEncoding: "ieee-p1363" }, signatures?.[at] ?? new Uint8Array()),
      )
    }
  }
})

test("takes neither few nor more than 128 at a time", async () => {
  await using opened = await openThread()
  const { thread } = opened
  assert.equal(thread.take(makeUnsigned(7, p256), notCalled), false)
  const signed = Array.from({ length: 8 }, () => takeAll(thread, makeUnsigned(16, p256)))
  assert.equal(thread.take(makeUnsigned(8, p256), notCalled), false)
  await Promise.all(signed)
  assert.ok(await takeAll(thread, makeUnsigned(8, p256)))
})

test("does not start while the thread that asks has time", () => {
  const thread = new SigningThread({ isHigh: false, lighten: notCalled })
  assert.equal(thread.take(makeUnsigned(64, p256), notCalled), false)
})

test("what it has signed can be had at once, before other messages", async () => {
  await using opened = await openThread()
  let count = 0
  assert.ok(opened.thread.take(makeUnsigned(8, p256), (signatures) => (count = signatures?.length ?? 0)))
  const deadline = performance.now() + 30_000
  while (count === 0 && performance.now() < deadline) opened.thread.drain()
  assert.equal(count, 8)
})

test("gives back what is recalled, once, and goes on", async () => {
  await using opened = await openThread()
  const { thread } = opened
  const recalled = [takeAll(thread, makeUnsigned(128, p256))]
  thread.recall()
  thread.recall()
  assert.deepEqual(await Promise.all(recalled), [undefined])
  // Its late answer is not taken for that of the next.
  await until("there is room again", () => thread.take(makeUnsigned(128, p256), () => undefined))
})

test("gives everything back when it dies, and takes no more", async () => {
  await using opened = await openThread()
  const { thread } = opened
  const given = [makeUnsigned(8, unfit), makeUnsigned(8, p256)].map((group) => takeAll(thread, group))
  assert.deepEqual(await Promise.all(given), [undefined, undefined])
  assert.equal(thread.take(makeUnsigned(8, p256), notCalled), false)
})

test("gives everything back when it is ended", async () => {
  const { thread } = await openThread()
  const given = takeAll(thread, makeUnsigned(128, p256))
  thread.end()
  assert.equal(await given, undefined)
  assert.equal(thread.take(makeUnsigned(8, p256), notCalled), false)
})

/** One that has started, for a thread that is always busy. */
async function openThread(): Promise<AsyncDisposable & { readonly thread: SigningThread }> {
  const thread = new SigningThread({ isHigh: true, lighten: () => undefined })
  let isSigned = false
  await until("it has started", () => thread.take(makeUnsigned(8, p256), () => (isSigned = true)))
  await until("it signs", () => isSigned)
  return { thread, [Symbol.asyncDispose]: async () => thread.end() }
}

function notCalled(): void {
  assert.fail("called")
}

function takeAll(thread: SigningThread, unsigned: readonly Unsigned[]): Promise<readonly Uint8Array[] | undefined> {
  return new Promise((resolve, reject) => {
    if (!thread.take(unsigned, resolve)) reject(new Error("not taken"))
  })
}

function makeUnsigned(count: number, key: KeyObject): readonly Unsigned[] {
  return Array.from({ length: count }, (_, index) => ({ key, data: randomBytes(100 + index) }))
}
