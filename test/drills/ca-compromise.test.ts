import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { until } from "../support/until.ts"
import { drill } from "./drill.ts"

drill(
  "ca-compromise",
  "an emergency takes the stolen root from every consumer at once, and its key from the disk",
  { x509: { ttl: "1h" }, rotation: { skew: "1s" } },
  async ({ book, folder, addAgent }) => {
    const holders = [await addAgent("web"), await addAgent("cart")].map(({ workload }) => workload)
    const [stolen = ""] = holders[0]?.seen.at(-1)?.bundle ?? []
    const keys = async () => (await readdir(join(folder, "keys"))).filter((name) => name.startsWith("root-"))
    const [stolenKey = ""] = await keys()

    assert.match(await book.run("What to do", 0), /intruders/)
    await book.run("What to do", 1)
    assert.deepEqual(await keys(), [stolenKey], "a dry run made a key")
    await book.run("What to do", 2)
    const isClean = () =>
      holders.every(({ seen }) => {
        const { bundle = [], chain = [] } = seen.at(-1) ?? {}
        const [root] = bundle.map((hex) => new X509Certificate(Buffer.from(hex, "hex")))
        return bundle.length === 1 && bundle[0] !== stolen && isBelow(chain, root)
      })
    await until("nobody trusts the stolen root, and all hold SVIDs of the new one", isClean, 60_000)
    await until("nobody to wait for", async () => /\[RETIRED\]/.test(await book.run("What to do", 3)), 60_000)
    await book.run("What to do", 4)
    assert.equal((await keys()).includes(stolenKey), false)
    await book.run("What to do", 5)
    const bundle = new X509Certificate(await readFile(join(folder, "bundle.pem")))
    assert.notEqual(bundle.raw.toString("hex"), stolen)
    assert.match(await book.run("What to do", 6), /emergency/)
    assert.ok((await readFile(join(folder, "audit-export.jsonl"), "utf8")).includes("root key stolen"))
  },
)

function isBelow(chain: readonly Uint8Array[], root: X509Certificate | undefined): boolean {
  const [, issuer] = chain.map((der) => new X509Certificate(der))
  return issuer !== undefined && root !== undefined && issuer.verify(root.publicKey)
}
