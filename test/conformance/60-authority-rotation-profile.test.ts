import assert from "node:assert/strict"
import { test } from "node:test"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import { signRoot } from "../../src/app/issue/sign-authority.ts"
import { rootProfileFaults } from "../../src/core/authority/root-profile.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { parsePublicKey } from "../../src/core/x509/public-key.ts"
import { makeSerial } from "../../src/core/x509/serial.ts"

const random = makeSystemRandom()

test("[RINV-09] two roots of one name, or of one key, are told", async () => {
  const [old, next] = [await makeRoot("root a"), await makeRoot("root a")]
  assert.deepEqual(rootProfileFaults(old, next), ["both roots have one name"])
  assert.deepEqual(rootProfileFaults(old, old), ["both roots have one name", "both roots have one key"])
})

test("[RINV-08] a new root that says what the old one says is good, another trust domain's is not", async () => {
  const old = await makeRoot("root a")
  assert.deepEqual(rootProfileFaults(old, await makeRoot("root b")), [])
  assert.deepEqual(rootProfileFaults(old, await makeRoot("root b", "other.example")), ["the roots differ in names"])
})

test("[RINV-08] a bound of the path may go, and does not come", async () => {
  const [old, next] = [await makeRoot("root a"), await makeRoot("root b")]
  const before = { ...old, pathLength: 1 }
  assert.deepEqual(rootProfileFaults(before, next), [])
  assert.deepEqual(rootProfileFaults(before, { ...next, pathLength: 1 }), [])
  for (const pathLength of [0, 2]) {
    assert.deepEqual(rootProfileFaults(before, { ...next, pathLength }), ["the roots differ in path length"])
  }
  assert.deepEqual(rootProfileFaults(old, { ...next, pathLength: 1 }), ["the roots differ in path length"])
})

async function makeRoot(commonName: string, trustDomain = "prod.example") {
  const signer = await processKeys.makeSigner("ec-p256")
  const publicKey = parsePublicKey(signer.publicKey)
  const der = await signRoot(
    {
      serial: makeSerial(random, 1),
      trustDomain: parseTrustDomain(trustDomain),
      subject: { commonName },
      publicKey,
      notBefore: 1_700_000_000,
      notAfter: 1_800_000_000,
    },
    signer,
  )
  return parseCertificate(der)
}
