import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { after, before, test } from "node:test"
import { parse } from "yaml"
import { encodePem } from "../../src/core/x509/pem.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain } from "../support/server-process.ts"
import { makeServerSetup, type ServerSetup } from "../support/server-setup.ts"

const ISSUER = "https://assay.example/tenants/one"
const AUDIENCE = "https://kubernetes.example"
const SERVING = { dns_names: ["assay.example", "assay.assay.svc"] }
const FILES = { certificate_file: "/x.pem", key_file: "/x.key" }

const CONFIG = { oauth: { issuer: ISSUER }, serving: SERVING }

const stack = new AsyncDisposableStack()
let setup: ServerSetup
let roots: string
before(async () => {
  setup = await makeServerSetup(stack.use(await makeScratch()).directory, CONFIG)
  ;({ roots } = await initTrustDomain(setup))
})
after(() => stack.disposeAsync())

interface Printed {
  readonly issuer: Readonly<Record<string, unknown>>
  readonly claimValidationRules: readonly { readonly expression: string }[]
  readonly claimMappings: Readonly<Record<string, unknown>>
  readonly userValidationRules: readonly { readonly expression: string }[]
}

async function print(...args: readonly string[]): Promise<Printed> {
  const asked = ["oidc", "kube-config", "-c", setup.configFile, "--audience", AUDIENCE, ...args]
  const { code, out, err } = await runAssay(asked)
  assert.deepEqual([code, err], [0, ""])
  const { apiVersion, kind, jwt } = parse(out)
  assert.deepEqual([apiVersion, kind], ["apiserver.config.k8s.io/v1", "AuthenticationConfiguration"])
  assert.equal(jwt.length, 1)
  return jwt[0]
}

test("[KAS-01][KAS-05] the configuration names issuer, audiences and the roots of the trust domain", async () => {
  const { issuer, claimMappings } = await print("other.example")
  assert.deepEqual(issuer, {
    url: ISSUER,
    certificateAuthority: roots,
    audiences: [AUDIENCE, "other.example"],
    audienceMatchPolicy: "MatchAny",
  })
  assert.deepEqual(Object.keys(claimMappings), ["username", "groups", "uid", "extra"])
  assert.deepEqual(await print("-o", "json"), await print())
})

test("[KAS-03] the configuration refuses what the API server could not check", async () => {
  const { claimValidationRules, userValidationRules } = await print()
  assert.deepEqual(
    claimValidationRules.map(({ expression }) => expression),
    ["claims.sub.startsWith('spiffe://prod.example/')", "!has(claims.cnf)", "claims.exp - claims.nbf <= 86400"],
  )
  for (const { expression } of userValidationRules) assert.match(expression, /system:/)
})

test("[KAS-05] discovery can be elsewhere, and the roots come from a file, or are those of the machine", async () => {
  const elsewhere = "https://assay.assay.svc:8444/.well-known/openid-configuration"
  assert.equal((await print("--discovery-url", elsewhere)).issuer["discoveryURL"], elsewhere)
  const own = `${ISSUER}/.well-known/openid-configuration`
  assert.ok(!("discoveryURL" in (await print("--discovery-url", own)).issuer))
  const caFile = `${setup.folder}/cdn.pem`
  const pem = encodePem("CERTIFICATE", new Uint8Array(3))
  await writeFile(caFile, pem)
  assert.equal((await print("--ca-file", caFile)).issuer["certificateAuthority"], pem)
  assert.ok(!("certificateAuthority" in (await print("--system-ca")).issuer))
  await setup.write({ ...CONFIG, serving: FILES })
  assert.ok(!("certificateAuthority" in (await print()).issuer))
  await setup.write(CONFIG)
})

test("[KAS-06] what cannot be meant so is refused, and an audience that nobody has is warned of", async () => {
  for (const [args, code, message] of [
    [["--audience", "a", "--discovery-url", "http://x.example/d"], 64, /must be the https URL/],
    [["--audience", "a", "--discovery-url", ISSUER], 64, /must be the https URL/],
    [["--audience", "a", "a"], 64, /named twice/],
    [["--audience", "a", "--ca-file", "/x", "--system-ca"], 64, /exclude each other/],
    [[], 64, /--audience/],
    [
      ["--audience", "a", "--ca-file", "/nonexistent/ca.pem"],
      1,
      /^assay: file-unreadable: CA file \/nonexistent\/ca\.pem cannot be read \(ENOENT\)/,
    ],
    [
      ["--audience", "a", "--ca-file", setup.configFile],
      1,
      /^assay: \S+: CA file .*assay\.yaml: PEM .*\(next: name a file with/,
    ],
  ] as const) {
    const ended = await runAssay(["oidc", "kube-config", "-c", setup.configFile, ...args])
    assert.deepEqual([ended.code, ended.out], [code, ""], args.join(" "))
    assert.match(ended.err, message)
  }
  const rules = [{ name: "one", spiffe_id: "/one", audiences: ["vault"] }]
  await setup.write({ ...CONFIG, rules })
  const asked = ["oidc", "kube-config", "-c", setup.configFile, "--audience"]
  assert.match((await runAssay([...asked, AUDIENCE])).err, /^warning: no rule gives anybody a token for "https:/)
  assert.equal((await runAssay([...asked, "vault"])).err, "")
  const elsewhere = ["vault", "--discovery-url", "https://cdn.example/openid"]
  assert.match((await runAssay([...asked, ...elsewhere])).err, /^warning: "cdn.example" is not under serving/)
  assert.equal((await runAssay([...asked, ...elsewhere, "--system-ca"])).err, "")
  await setup.write({})
  const { code, err } = await runAssay([...asked, AUDIENCE])
  assert.equal(code, 1)
  assert.match(err, /^assay: no-issuer: .* \(next: /)
  await setup.write(CONFIG)
})
