import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import type { SeenSvid } from "../support/watched-workload.ts"
import { drill } from "./drill.ts"

drill(
  "issuing-authority",
  "a restart brings another one below the same root, and what the one before signed stays good",
  { x509: { ttl: "40s" } },
  async ({ book, startServer, stopServer, addAgent }) => {
    const { workload } = await addAgent("web")
    const before = workload.seen.at(-1)
    assert.ok(before !== undefined)
    const shown = await book.run("What you see")
    assert.match(shown, /issuing/)
    await stopServer()
    const seen = workload.seen.length
    await startServer()
    assert.match(await book.run("What to do"), /authority\.adopted/)
    const after = await workload.renewed(seen, RECOVERY)
    assert.notEqual(issuerOf(after), issuerOf(before))
    assert.deepEqual(after.bundle, before.bundle)
    const [root] = after.bundle.map((hex) => new X509Certificate(Buffer.from(hex, "hex")))
    for (const { chain } of [before, after]) {
      const [leaf, issuer] = chain.map((der) => new X509Certificate(der))
      assert.ok(issuer !== undefined && root !== undefined && leaf?.verify(issuer.publicKey))
      assert.ok(issuer.verify(root.publicKey))
    }
    assert.deepEqual(workload.failures, [])
  },
)

function issuerOf({ chain }: SeenSvid): string {
  return new X509Certificate(chain[1] ?? new Uint8Array()).fingerprint256
}

/** The longest pause of an agent between tries is 30 s. */
const RECOVERY = 90_000
