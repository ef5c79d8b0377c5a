import "reflect-metadata"
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { promisify } from "node:util"
import * as x509 from "@peculiar/x509"
import { encodePem } from "../../src/core/x509/pem.ts"
import { type HandshakeParty, shakeHands } from "../support/handshake.ts"
import { IdentityPeer } from "../support/identity-peer.ts"
import { type ChainOrder, type IssuedChain, issueChain } from "../support/issued-chain.ts"
import { verifyWithGo } from "../support/peers/go-spiffe.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { zlint } from "../support/peers/zlint.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"

const PATH = "/ns/{{namespace}}/sa/{{service_account}}"
const RULES = [
  {
    name: "named",
    service_account: "api",
    spiffe_id: PATH,
    dns_names: ["{{service_account}}.{{namespace}}.svc.cluster.local", "api.example.org"],
  },
  { name: "plain", service_account: "web", spiffe_id: PATH },
]
const NAMES: Readonly<Record<string, string>> = {
  web: "URI:spiffe://prod.example/ns/shop/sa/web",
  api: "URI:spiffe://prod.example/ns/shop/sa/api, DNS:api.shop.svc.cluster.local, DNS:api.example.org",
}
const ORDERS: readonly ChainOrder[] = (["p256", "p384", "rsa"] as const).flatMap((keys) =>
  (["csr", "proven-key"] as const).flatMap((proof) =>
    Object.keys(NAMES).map((serviceAccount) => ({ keys, proof, serviceAccount })),
  ),
)
const run = promisify(execFile)

for (const algorithm of ["ec-p256", "ec-p384", "rsa-4096"] as const) {
  describe(`what a server with a root of ${algorithm} issues`, {
    skip: await skipWithout("openssl", "go-spiffe", "zlint"),
  }, () => {
    const stack = new AsyncDisposableStack()
    let folder: string
    let roots: string
    let issued: readonly IssuedChain[]
    const file = (name: string) => join(folder, name)

    before(async () => {
      folder = stack.use(await makeScratch()).directory
      const keys = { directory: file("keys"), sealing_key_file: file("sealing.key"), algorithm }
      const setup = await makeServerSetup(folder, { rules: RULES, keys, root: { organization: "Example" } })
      ;({ roots } = await initTrustDomain(setup))
      const { address } = stack.use(await startServerProcess(setup))
      const peer = stack.use(new IdentityPeer({ address, roots }))
      issued = await Promise.all(ORDERS.map((order) => issueChain(peer, setup, order)))
      await writeFile(file("root.pem"), roots)
      for (const { name, chain } of issued) {
        for (const [kind, der] of [["leaf", chain[0]] as const, ["issuing", chain[1]] as const]) {
          await writeFile(file(`${name}.${kind}.pem`), encodePem("CERTIFICATE", der ?? new Uint8Array()))
        }
      }
    })
    after(() => stack.disposeAsync())

    test("is two certificates below the root, with the names of the rule", () => {
      assert.equal(issued.length, 12)
      for (const [index, { chain, name }] of issued.entries()) {
        const [leaf, issuing] = chain.map((der) => new X509Certificate(der))
        assert.ok(leaf && issuing && chain.length === 2)
        assert.equal(leaf.subjectAltName, NAMES[ORDERS[index]?.serviceAccount ?? ""], name)
        assert.ok(leaf.verify(issuing.publicKey) && issuing.verify(new X509Certificate(roots).publicKey))
        const details = new X509Certificate(roots).publicKey.asymmetricKeyDetails
        assert.equal(details?.namedCurve ?? details?.modulusLength, ROOT_KEYS[algorithm])
      }
    })

    test("is accepted by OpenSSL in its strict mode, for servers and clients", async () => {
      for (const { name } of issued) {
        for (const purpose of ["sslserver", "sslclient"]) assert.equal(await opensslProblem(folder, name, purpose), "")
      }
      const damaged = damage(issued)
      await writeFile(file("damaged.leaf.pem"), encodePem("CERTIFICATE", damaged.leaf))
      await writeFile(file("damaged.issuing.pem"), encodePem("CERTIFICATE", damaged.issuing))
      assert.match(await opensslProblem(folder, "damaged", "sslserver"), /certificate signature failure/)
    })

    test("is accepted by crypto/x509 and go-spiffe", async () => {
      const damaged = damage(issued)
      const broken = [damaged.leaf, damaged.issuing].map((der) => encodePem("CERTIFICATE", der)).join("")
      const chains = [...issued.map(({ pem }) => pem), broken]
      const verdicts = await verifyWithGo({ trustDomain: "prod.example", bundle: roots, chains })
      assert.match(verdicts.pop()?.problem ?? "accepted", /certificate signed by unknown authority|verification/)
      assert.deepEqual(
        verdicts,
        issued.map(({ spiffeId }) => ({ id: spiffeId, problem: undefined })),
      )
    })

    test("is accepted by Node in mutual TLS, where the name is a URI", async () => {
      const party = ({ pem, privateKey }: IssuedChain): HandshakeParty => {
        return { cert: pem, key: privateKey.export({ format: "pem", type: "pkcs8" }).toString(), ca: roots }
      }
      for (const [index, server] of issued.entries()) {
        const client = issued[(index + 1) % issued.length] ?? server
        const { byClient, byServer } = await shakeHands(party(server), party(client), (peer) =>
          uriOf(peer.subjectaltname) === server.spiffeId ? undefined : new Error(`is ${peer.subjectaltname}`),
        )
        assert.deepEqual(
          [uriOf(byClient.subjectaltname), uriOf(byServer.subjectaltname)],
          [server.spiffeId, client.spiffeId],
        )
      }
      const [one, other] = issued
      assert.ok(one && other)
      const refuse = () => new Error("not who was asked for")
      await assert.rejects(shakeHands(party(one), party(other), refuse), /not who was asked for/)
    })

    test("is parsed and verified by @peculiar/x509", async () => {
      const root = new x509.X509Certificate(roots)
      assert.ok(await root.verify())
      for (const { chain, name } of issued) {
        const [leaf, issuing] = chain.map((der) => new x509.X509Certificate(der))
        assert.ok(leaf && issuing)
        assert.ok(await leaf.verify({ publicKey: issuing }), name)
        assert.ok(await issuing.verify({ publicKey: root }), name)
        const path = await new x509.X509ChainBuilder({ certificates: [root, issuing] }).build(leaf)
        assert.deepEqual(
          Array.from(path, ({ serialNumber }) => serialNumber),
          [leaf, issuing, root].map(({ serialNumber }) => serialNumber),
        )
      }
      const damaged = damage(issued)
      const leaf = new x509.X509Certificate(damaged.leaf)
      assert.equal(await leaf.verify({ publicKey: new x509.X509Certificate(damaged.issuing) }), false)
    })

    test("passes zlint with every lint that an RFC stands behind", async () => {
      const files = issued.flatMap(({ name }) => [file(`${name}.leaf.pem`), file(`${name}.issuing.pem`)])
      assert.deepEqual(await zlint([file("root.pem"), ...files]), [])
      const nameless = Buffer.from(issued[0]?.chain[0]?.toString("hex").replace("551d11", "551d63") ?? "", "hex")
      await writeFile(file("nameless.pem"), encodePem("CERTIFICATE", nameless))
      const findings = await zlint([file("nameless.pem")])
      assert.ok(
        findings.some(({ result }) => result === "error"),
        JSON.stringify(findings),
      )
    })
  })
}

/** The first chain with another letter in the path of its ID. */
function damage(issued: readonly IssuedChain[]): { readonly leaf: Buffer; readonly issuing: Buffer } {
  const [leaf, issuing] = issued[0]?.chain ?? []
  assert.ok(leaf && issuing)
  const broken = Buffer.from(leaf)
  broken.write("y", broken.indexOf("/sa/") + 4)
  return { leaf: broken, issuing }
}

/** What OpenSSL says against a chain; empty when it accepts it. */
async function opensslProblem(folder: string, name: string, purpose: string): Promise<string> {
  const trust = ["-CAfile", "root.pem", "-no-CApath", "-no-CAstore", "-untrusted", `${name}.issuing.pem`]
  const args = ["verify", "-x509_strict", "-purpose", purpose, ...trust, `${name}.leaf.pem`]
  const outcome = await run("openssl", args, { cwd: folder }).catch((failure: unknown) => failure)
  if (typeof outcome !== "object" || outcome === null || !("stdout" in outcome) || !("stderr" in outcome)) throw outcome
  return outcome.stdout === `${name}.leaf.pem: OK\n` ? "" : `${String(outcome.stdout)}${String(outcome.stderr)}`
}

function uriOf(subjectAltName: string | undefined): string | undefined {
  return subjectAltName
    ?.split(", ")
    .find((name) => name.startsWith("URI:"))
    ?.slice(4)
}

const ROOT_KEYS = { "ec-p256": "prime256v1", "ec-p384": "secp384r1", "rsa-4096": 4096 }
