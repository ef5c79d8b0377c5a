import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { test } from "node:test"
import { encodePem } from "../../src/core/x509/pem.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"
import { makeTestCa, type TestLeaf } from "../support/test-ca.ts"
import { openX509Client } from "../support/x509-client.ts"

test("[ADM-33] what cannot be an operator's SVID is told of before any server is asked, and no key is printed", async () => {
  await using scratch = await makeScratch()
  const now = Math.floor(Date.now() / 1000)
  const ca = makeTestCa({ trustDomain: "prod.example", now })
  const old = ca.issueLeaf("spiffe://prod.example/ops/a", { notBefore: now - 3000, notAfter: now - 60 })
  const current = pemOf("CERTIFICATE", ca.issueLeaf("spiffe://prod.example/ops/a").chain)
  const key = keyOf(old)
  for (const [svid, svidKey, message] of [
    [pemOf("CERTIFICATE", old.chain), key, /^assay: svid-expired: the SVID in \S+ expired at 20\S+Z \(next: /],
    [current, key, /^assay: file-unreadable: svid\.pem and svid_key\.pem in \S+ are no certificate and its key/],
    ["garbage", key, /^assay: file-unreadable: /],
    [current, "garbage", /^assay: file-unreadable: /],
  ] as const) {
    await writeSvid(scratch, svid, svidKey, pemOf("CERTIFICATE", [ca.root.certificate.der]))
    const at = ["--server", "https://localhost:1", "--svid-dir", scratch.directory]
    const { code, err } = await runAssay(["status", ...at, "--verbose"])
    assert.equal(code, 1, err)
    assert.match(err, message)
    assert.equal(err.includes(key.slice(40, 80)) || err.includes("garbage"), false)
  }
})

test("[ADM-35] for an operator of some identities alone the doctor looks at all but rotations, and says whom to ask", async () => {
  await using scratch = await makeScratch()
  await using server = await openAdminUnderTest({
    config: {
      listen: { grpc: "127.0.0.1:0", health: "127.0.0.1:0", admin: "127.0.0.1:0" },
      admin: {
        roles: [{ name: "shop", who: { spiffe_id: "/ns/shop/sa/api" }, verbs: ["status"], prefixes: ["/ns/shop/*"] }],
      },
    },
  })
  const { client } = await openX509Client(server, "api")
  await writeSvid(scratch, client.cert, client.key, server.roots)
  const url = `https://localhost:${server.admin.port}`
  const { code, out, err } = await runAssay(["doctor", "--server", url, "--svid-dir", scratch.directory])
  assert.equal(code, 0, `${out}${err}`)
  assert.match(out, /^ok +server: .*, ready$/m)
  assert.match(
    out,
    /^info +rotation: not looked at: .*\n +next: ask for a role .* "status", and prefixes .*: none for/m,
  )
})

async function writeSvid({ path }: Scratch, svid: string, key: string, roots: string): Promise<void> {
  const files = { "svid.pem": svid, "svid_key.pem": key, "bundle.pem": roots }
  for (const [name, content] of Object.entries(files)) await writeFile(path(name), content, { mode: 0o600 })
}

function pemOf(label: string, ders: readonly Uint8Array[]): string {
  return ders.map((der) => encodePem(label, der)).join("")
}

function keyOf({ pkcs8 }: TestLeaf): string {
  return pemOf("PRIVATE KEY", [pkcs8])
}
