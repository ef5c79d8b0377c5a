import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { test } from "node:test"
import { FakeSource } from "../../../support/fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "../../../support/fake-view.ts"
import { PROJECT } from "../../../support/project-files.ts"
import { openWorkloadPeer } from "../../../support/workload-peer.ts"

const CART = "spiffe://prod.example/ns/shop/sa/cart"

async function assay(address: string | undefined, args: readonly string[]) {
  const { SPIFFE_ENDPOINT_SOCKET: _, ...clean } = process.env
  const env = address === undefined ? clean : { ...clean, SPIFFE_ENDPOINT_SOCKET: address }
  const child = spawn(process.execPath, [join(PROJECT, "src/main/cli.ts"), ...args], { env })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")])
  return { out, err, code: child.exitCode }
}

function source(): FakeSource {
  const der = Buffer.from([0x30, 1, 7])
  const fake = new FakeSource()
  fake.ready(
    fakeView({
      svids: [fakeSvid(CART, { chain: [der] })],
      own: fakeBundle("prod.example", { x509Authorities: [der] }),
    }),
  )
  return fake
}

test("api fetch jwt prints the tokens as JSON", async () => {
  await using peer = await openWorkloadPeer(source())
  const { out, code } = await assay(peer.address, ["api", "fetch", "jwt", "--audience", "db", "-o", "json"])
  const reply: unknown = JSON.parse(out)
  assert.partialDeepStrictEqual(reply, { svids: [{ spiffeId: CART }] })
  assert.equal(code, 0)
})

test("api validate jwt fails on a token that is none", async () => {
  await using peer = await openWorkloadPeer(source())
  const { err, code } = await assay(peer.address, ["api", "validate", "jwt", "--audience", "db", "--svid", "a.b.c"])
  assert.match(err, /token/)
  assert.notEqual(code, 0)
})

test("api without an agent behind the socket says what to check", async () => {
  const { err, code } = await assay("unix:///nonexistent/api.sock", ["api", "fetch", "x509"])
  assert.match(err, /nothing answers at unix:\/\/\/nonexistent\/api\.sock.*next: check that assay agent runs/s)
  assert.notEqual(code, 0)
})

test("api without an address is a usage error", async () => {
  const { err, code } = await assay(undefined, ["api", "fetch", "x509"])
  assert.match(err, /SPIFFE_ENDPOINT_SOCKET/)
  assert.equal(code, 64)
})

test("write --once writes the files and runs the command", async () => {
  const directory = await mkdtemp(join(tmpdir(), "assay-write-"))
  await using peer = await openWorkloadPeer(source())
  const { out, code } = await assay(peer.address, ["write", "-d", directory, "--once", "--exec", "echo told"])
  assert.equal(out, "told\n")
  assert.equal(code, 0)
  assert.match(await readFile(join(directory, "svid.pem"), "utf8"), /BEGIN CERTIFICATE/)
  await rm(directory, { recursive: true })
})

test("exec gives the command its files, and its exit code to the caller", async () => {
  await using peer = await openWorkloadPeer(source())
  const script = "cat $ASSAY_SVID_FILE $ASSAY_BUNDLE_FILE; test -r $ASSAY_SVID_KEY_FILE && exit 7"
  const { out, code } = await assay(peer.address, ["exec", "--", "sh", "-c", script])
  assert.equal(out.match(/BEGIN CERTIFICATE/g)?.length, 2)
  assert.equal(code, 7)
})
