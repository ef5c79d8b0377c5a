import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { promisify } from "node:util"
import { MAX_CROSS_CERTIFICATES } from "../../src/core/authority/cross-certificates.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { type CrossedChain, makeCrossedChain } from "../support/crossed-chain.ts"
import { shakeHands } from "../support/handshake.ts"
import { verifyWithGo } from "../support/peers/go-spiffe.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { zlint } from "../support/peers/zlint.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeTestCa } from "../support/test-ca.ts"

const run = promisify(execFile)

for (const { keys, rotations } of [
  { keys: "p256", rotations: MAX_CROSS_CERTIFICATES },
  { keys: "p384", rotations: 2 },
  { keys: "rsa", rotations: 2 },
] as const) {
  describe(`the chain of a server after ${rotations} rotations of ${keys} roots`, {
    skip: await skipWithout("openssl", "go-spiffe", "zlint"),
  }, () => {
    const stack = new AsyncDisposableStack()
    let folder: string
    let made: CrossedChain
    const stranger = makeTestCa().root.certificate.der

    before(async () => {
      folder = stack.use(await makeScratch()).directory
      made = makeCrossedChain(rotations, keys)
    })
    after(() => stack.disposeAsync())

    test("is accepted by OpenSSL in its strict mode from each root alone, and from no other", async () => {
      await writeFile(join(folder, "leaf.pem"), pem(made.chain.slice(0, 1)))
      await writeFile(join(folder, "chain.pem"), pem(made.chain.slice(1)))
      for (const root of made.roots) assert.equal(await opensslProblem(folder, root), "")
      assert.match(await opensslProblem(folder, stranger), /unable to get (local )?issuer certificate/)
    })

    test("is accepted by crypto/x509 and go-spiffe from each root alone, and from no other", async () => {
      const verdicts = async (root: Uint8Array) =>
        await verifyWithGo({ trustDomain: "example.org", bundle: pem([root]), chains: [pem(made.chain)] })
      for (const root of made.roots) {
        assert.deepEqual(await verdicts(root), [{ id: "spiffe://example.org/assay/server", problem: undefined }])
      }
      assert.match((await verdicts(stranger))[0]?.problem ?? "", /unknown authority/)
    })

    test("is accepted by Node in a handshake from each root alone, and from no other", async () => {
      const clients = makeTestCa()
      const client = clients.issueLeaf("spiffe://example.org/a")
      const server = {
        cert: pem(made.chain),
        key: encodePem("PRIVATE KEY", made.pkcs8),
        ca: pem([clients.root.certificate.der]),
      }
      const shake = (root: Uint8Array) => {
        const party = { cert: pem(client.chain), key: encodePem("PRIVATE KEY", client.pkcs8), ca: pem([root]) }
        return shakeHands(server, party, () => undefined)
      }
      for (const root of made.roots)
        assert.ok((await shake(root)).byClient.subjectaltname?.includes("DNS:assay.prod.example"))
      await assert.rejects(shake(stranger), /certificate/)
    })

    test("passes zlint with every lint that an RFC stands behind", async () => {
      const files = [...made.roots, ...made.chain].map((_, index) => join(folder, `${index}.pem`))
      for (const [index, der] of [...made.roots, ...made.chain].entries())
        await writeFile(files[index] ?? "", pem([der]))
      assert.deepEqual(await zlint(files), [])
    })
  })
}

function pem(chain: readonly Uint8Array[]): string {
  return chain.map((der) => encodePem("CERTIFICATE", der)).join("")
}

/** What OpenSSL says against the chain when it trusts one root alone; empty when it accepts it. */
async function opensslProblem(folder: string, root: Uint8Array): Promise<string> {
  await writeFile(join(folder, "root.pem"), pem([root]))
  const trust = ["-CAfile", "root.pem", "-no-CApath", "-no-CAstore", "-untrusted", "chain.pem"]
  const args = ["verify", "-x509_strict", "-purpose", "sslserver", ...trust, "leaf.pem"]
  const outcome = await run("openssl", args, { cwd: folder }).catch((failure: unknown) => failure)
  if (typeof outcome !== "object" || outcome === null || !("stdout" in outcome) || !("stderr" in outcome)) throw outcome
  return outcome.stdout === "leaf.pem: OK\n" ? "" : `${String(outcome.stdout)}${String(outcome.stderr)}`
}
