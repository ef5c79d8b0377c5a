import assert from "node:assert/strict"
import { test } from "node:test"
import type { CryptoAnswer, CryptoJob, Digest } from "../../../../src/adapters/process-keys/crypto-job.ts"
import {
  packAnswers,
  packCrypto,
  unpackAnswers,
  unpackCrypto,
} from "../../../../src/adapters/process-keys/packed-crypto.ts"

test("verifications arrive as they were sent, alone and beside other jobs", () => {
  const verifications = (["sha256", "sha384", "sha512"] as const).map((digest, i) => verification(digest, 91 + i))
  const mixed: readonly CryptoJob[] = [
    ...verifications,
    { kind: "sign", key: 3, data: octets(200), form: "der" },
    verification("sha256", 1),
  ]
  for (const jobs of [verifications, mixed, [verification("sha256", 0)], []]) {
    assert.deepEqual(unpackCrypto(structuredClone(packCrypto(jobs))), jobs)
  }
})

test("answers arrive as they were sent, verdicts alone and beside others", () => {
  const verdicts = (["valid", "wrong-signature", "wrong-key"] as const).map((verdict): CryptoAnswer => {
    return { kind: "verdict", verdict }
  })
  const mixed: readonly CryptoAnswer[] = [...verdicts, { kind: "failed", message: "m" }, { kind: "forgotten" }]
  for (const answers of [verdicts, mixed, []]) {
    assert.deepEqual(unpackAnswers(structuredClone(packAnswers(answers))), answers)
  }
})

test("a text that holds no verdicts makes nothing valid", () => {
  assert.deepEqual(
    unpackAnswers("03x").map(({ kind }) => kind),
    ["verdict", "failed", "failed"],
  )
})

function verification(digest: Digest, length: number): CryptoJob {
  return { kind: "verify", digest, spki: octets(length), data: octets(length + 60), signature: octets(71) }
}

function octets(length: number): Uint8Array {
  return new Uint8Array(length).fill(length & 0xff)
}
