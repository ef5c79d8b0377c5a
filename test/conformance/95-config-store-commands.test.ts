import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { chmod } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { parseBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { openAdminUnderTest } from "../support/admin-server.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

test("[CFG-20] bundle show prints what a running server's store holds, in each form", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  await initTrustDomain(setup)
  await using _server = await startServerProcess(setup)
  const show = async (form: string) => {
    const { code, out, err } = await runAssay(["bundle", "show", "-c", setup.configFile, "-o", form])
    assert.equal(code, 0, err)
    return out
  }
  const bundle = parseBundle(await show("spiffe"), parseTrustDomain(setup.trustDomain))
  assert.equal(bundle.jwtAuthorities.length, 1, "the key that the server made at its start")
  assert.deepEqual([...new X509Certificate(await show("pem")).raw], [...(bundle.x509Authorities[0] ?? [])])
  const { keys }: { keys: { kid: string }[] } = JSON.parse(await show("jwks"))
  assert.deepEqual(
    keys.map(({ kid }) => kid),
    bundle.jwtAuthorities.map(({ kid }) => kid),
  )
})

test("[CFG-20] bundle show says where there is no store", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const { code, err } = await runAssay(["bundle", "show", "-c", setup.configFile])
  assert.equal(code, 1)
  assert.match(err, /not-found/)
})

test("[CFG-21] log search takes a serial as OpenSSL and browsers print it", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  await initTrustDomain(setup)
  await using _server = await startServerProcess(setup)
  const search = async (...flags: readonly string[]) => {
    const { code, out, err } = await runAssay(["log", "search", "-c", setup.configFile, "-o", "json", ...flags])
    assert.equal(code, 0, err)
    return (JSON.parse(out) as { serial: string }[]).map(({ serial }) => serial) // its form is held by unit tests
  }
  const [serial = ""] = await search("--identity", `spiffe://${setup.trustDomain}/assay/server`, "--limit", "1")
  const printed = serial.toUpperCase().replaceAll(/(?<=^(?:..)+)(?=..)/g, ":")
  for (const form of [serial, serial.toUpperCase(), printed]) assert.deepEqual(await search("--serial", form), [serial])
})

test("[CFG-21] log search says when more matches than it shows, of a store and of a server, and the API in a member", async () => {
  await using server = await openAdminUnderTest()
  const log = server.state.store.issuanceLog
  for (const jti of ["a", "b", "c"]) await log.recordIntent(fixtureIntent(jti), fixtureGrant(jti), FIXTURE_NOW, NO_BANS)
  const socket = ["--admin-socket", server.admin.socket]
  const all = ["--identity", fixtureIntent("").spiffeId]
  for (const where of [["-c", server.setup.configFile], socket]) {
    const search = (...flags: readonly string[]) =>
      runAssay(["log", "search", ...where, ...all, "-o", "json", ...flags])
    const cut = await search("--limit", "2")
    assert.deepEqual([cut.code, JSON.parse(cut.out).length], [0, 2], cut.err)
    assert.match(cut.err, /^there are older ones: a higher --limit shows up to 1000, or narrow the search\n$/)
    for (const limit of ["3", "1000"]) {
      const whole = await search("--limit", limit)
      assert.deepEqual([JSON.parse(whole.out).length, whole.err], [3, ""])
    }
  }
})

for (const [mode, warns] of [
  [0o600, false],
  [0o644, true],
] as const) {
  test(`[STO-06] a server whose store has mode ${mode.toString(8)} ${warns ? "warns" : "says nothing"}`, async () => {
    await using scratch = await makeScratch()
    const setup = await makeServerSetup(scratch.directory)
    await initTrustDomain(setup)
    const store = join(setup.folder, "assay.db")
    await chmod(store, mode)
    await using server = await startServerProcess(setup)
    assert.equal(server.log().includes(`"file":"${store}","mode":"644"`), warns, server.log())
    assert.equal(server.log().includes("chmod 600"), warns)
  })
}

for (const [flag, value] of [
  ["--serial", "xyz"],
  ["--serial", "abcd"],
  ["--identity", "web"],
  ["--limit", "0"],
  ["--limit", "1001"],
  ["--limit", "ten"],
  ["--since", "5"],
] as const) {
  test(`[CFG-21] log search refuses ${flag} ${value} as wrong usage`, async () => {
    const { code, out, err } = await runAssay(["log", "search", "-c", "none.yaml", flag, value])
    assert.deepEqual([code, out], [64, ""])
    assert.ok(err.includes(flag), err)
  })
}
