import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { parseCsr, verifyCsr } from "../../../../src/core/x509/csr.ts"
import { parseIpAddress } from "../../../../src/core/x509/ip-address.ts"
import { parsePem } from "../../../../src/core/x509/pem.ts"
import { makeTestCa } from "../../../support/test-ca.ts"

const present = spawnSync("openssl", ["version"]).status === 0

function openssl(folder: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" })
  assert.equal(status, 0, stderr)
  return stdout
}

function withFolder(use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "assay-x509-"))
  try {
    use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

for (const keys of ["p256", "p384", "rsa"] as const) {
  test(`openssl verifies a ${keys} chain strictly and reads its names`, { skip: !present && "no openssl" }, () => {
    withFolder((folder) => {
      const ca = makeTestCa({ keys })
      const ipAddresses = [parseIpAddress("10.0.0.1"), parseIpAddress("::1")]
      ca.writeChain(folder, ca.issueLeaf("spiffe://example.org/a", { dnsNames: ["a.svc"], ipAddresses }))
      for (const purpose of ["sslserver", "sslclient"]) {
        const chain = ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf-only.pem"]
        const verdict = openssl(folder, "verify", "-x509_strict", "-purpose", purpose, ...chain)
        assert.match(verdict, /leaf-only\.pem: OK/)
      }
      const text = openssl(folder, "x509", "-in", "leaf-only.pem", "-noout", "-ext", "subjectAltName")
      const names = "URI:spiffe://example.org/a, DNS:a.svc, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1"
      assert.ok(text.includes("critical") && text.includes(names), text)
    })
  })
}

test("requests that openssl writes are accepted", { skip: !present && "no openssl" }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "assay-csr-"))
  try {
    writeFileSync(join(folder, "c.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n")
    for (const key of ["ec:", "rsa:2048"]) {
      const kind = key === "ec:" ? ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"] : ["-newkey", key]
      const rest = ["-nodes", "-keyout", "k.pem", "-subj", "/CN=a", "-addext", "subjectAltName=DNS:evil"]
      const pem = openssl(folder, "req", "-new", "-config", "c.cnf", ...kind, ...rest)
      const [der] = parsePem(pem, "CERTIFICATE REQUEST", { maxLength: 16384, maxBlocks: 1 })
      const verified = await verifyCsr(parseCsr(der ?? new Uint8Array()))
      assert.equal(verified.algorithm, key === "ec:" ? "ec-p384" : "rsa")
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
