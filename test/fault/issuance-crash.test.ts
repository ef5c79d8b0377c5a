import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { randomInt, X509Certificate } from "node:crypto"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { after, test } from "node:test"
import { parseCertificate } from "../../src/core/x509/certificate.ts"
import { IdentityPeer, provenKey } from "../support/identity-peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

/** In the order of the cycle; `spec/issuance-cycle.md`. */
const STEPS = [
  "before-attest",
  "after-attest",
  "before-intent",
  "during-intent",
  "after-intent",
  "after-signature",
  "after-outcome",
  "before-reply",
  "after-reply",
]
/** Of tokens that a second thread signs. */
const STEPS_BESIDE = ["during-intent", "after-intent", "after-signature-beside", "before-reply", "after-reply"]
const WAYS = { thread: "in one thread", beside: "in two threads", apart: "apart" }
const IN_FLIGHT = { thread: 8, beside: 32, apart: 8 }
const LIMITS = { identity_rate: "100000/s", identity_burst: 10_000, global_rate: "100000/s" }

const scratch = await makeScratch()
after(() => scratch[Symbol.asyncDispose]())
const setup = await makeServerSetup(scratch.directory, { limits: LIMITS })
const { roots } = await initTrustDomain(setup)
const tokenFile = scratch.path("tokens")
await writeFile(tokenFile, Array.from({ length: 8 }, () => setup.token()).join("\n"))
const database = scratch.path("assay.db")

/** One store for all: every restart is over what the kills before it left. */
const held: Held[] = []

for (const [kind, way, steps] of [
  ["x509", "thread", STEPS],
  ["jwt", "thread", STEPS],
  ["jwt", "beside", STEPS_BESIDE],
  ["x509", "apart", STEPS],
  ["jwt", "apart", STEPS],
] as const) {
  const inFlight = IN_FLIGHT[way]
  for (const step of steps) {
    test(`[ISS-14] ${kind}, commit and signature ${WAYS[way]}: killed ${step.replaceAll("-", " ")} with ${inFlight} in flight, what was handed out is in the log`, async () => {
      const before = readLog().size
      const lines = await issueUntilKilled({ kind, way, step, nth: randomInt(8, 60) })
      const fresh = lines.map(kind === "x509" ? parseX509 : parseJwt)
      held.push(...fresh)
      const log = readLog()
      for (const { serial, tbs, signature } of held) {
        const found = log.get(serial)
        assert.ok(found !== undefined && tbs.equals(found.tbs), `${serial} is not in the log as it was signed`)
        if (found.signature !== undefined && signature !== undefined) {
          assert.deepEqual(Buffer.from(found.signature), signature)
        }
      }
      assert.equal(new Set(held.map(({ serial }) => serial)).size, held.length, "a serial was used twice")
      const unknown = log.size - before - fresh.length
      assert.ok(unknown >= 0 && unknown <= inFlight, `${unknown} intents that nobody holds`)
    })
  }
}

test("[ISS-14] after all of that the server starts, knows every authority that signed, and issues", async () => {
  await using server = await startServerProcess(setup)
  using peer = new IdentityPeer({ address: server.address, roots })
  const token = setup.token()
  const { chain } = await peer.x509({ key: provenKey(token) }, token)
  assert.equal(readLog().has(parseCertificate(chain[0] ?? Buffer.alloc(0)).serial), true)
  using db = new DatabaseSync(database, { readOnly: true, timeout: 10_000 })
  const issuers = db.prepare("SELECT certificate FROM issuing_authority").all()
  const known = new Set(issuers.map((row) => Buffer.from(Uint8Array.from(blob(row["certificate"]))).toString("base64")))
  const root = new X509Certificate(roots)
  for (const { chain: [leaf, issuer] = [] } of held) {
    if (leaf === undefined || issuer === undefined) continue
    assert.ok(known.has(issuer.raw.toString("base64")), "signed by an authority that is not in the journal")
    assert.ok(leaf.verify(issuer.publicKey) && issuer.verify(root.publicKey))
  }
})

interface Held {
  readonly serial: string
  readonly tbs: Buffer
  readonly signature?: Buffer
  readonly chain?: readonly X509Certificate[]
}

interface Kill {
  readonly kind: "x509" | "jwt"
  readonly way: keyof typeof WAYS
  readonly step: string
  readonly nth: number
}

/** The credentials that the victim handed out before it was killed. */
async function issueUntilKilled({ kind, way, step, nth }: Kill): Promise<readonly string[]> {
  const [fault, victim] = ["./issuance-fault.ts", "./issuance-victim.ts"].map((name) => new URL(name, import.meta.url))
  const args = [
    "--import",
    String(fault),
    victim?.pathname ?? "",
    setup.configFile,
    tokenFile,
    kind,
    way,
    String(IN_FLIGHT[way]),
  ]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, FATAL_STEP: step, FATAL_NTH: String(nth), LOOK_BUSY: way === "beside" ? "1" : "" },
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 120_000,
  })
  const exited = once(child, "exit")
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) lines.push(line)
  const [, signal]: unknown[] = await exited
  assert.equal(signal, "SIGKILL", "the victim ended by itself")
  return lines
}

function readLog(): ReadonlyMap<string, { readonly tbs: Uint8Array; readonly signature: Uint8Array | undefined }> {
  using db = new DatabaseSync(database, { timeout: 10_000 })
  assert.deepEqual({ ...db.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" })
  const rows = db.prepare("SELECT serial, tbs, signature FROM intent LEFT JOIN outcome ON intent_id = intent.id").all()
  const audited = db.prepare("SELECT count(*) AS n FROM audit_event WHERE type = 'svid.granted'").get()
  assert.equal(audited?.["n"], rows.length, "an intent without its audit record, or the other way round")
  return new Map(
    rows.map((row) => [
      String(row["serial"]),
      { tbs: blob(row["tbs"]), signature: row["signature"] === null ? undefined : blob(row["signature"]) },
    ]),
  )
}

function parseX509(line: string): Held {
  const chain = line.split(",").map((der) => Buffer.from(der, "base64"))
  const { serial, tbs, signature } = parseCertificate(chain[0] ?? Buffer.alloc(0))
  const certificates = chain.map((der) => new X509Certificate(der))
  return { serial, tbs: Buffer.from(tbs), signature: Buffer.from(signature), chain: certificates }
}

function parseJwt(token: string): Held {
  const input = token.slice(0, token.lastIndexOf("."))
  const { jti } = JSON.parse(Buffer.from(input.split(".")[1] ?? "", "base64url").toString())
  return { serial: jti, tbs: Buffer.from(input) }
}

function blob(value: unknown): Uint8Array {
  assert.ok(value instanceof Uint8Array)
  return value
}
