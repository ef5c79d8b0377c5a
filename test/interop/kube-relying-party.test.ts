import assert from "node:assert/strict"
import { appendFile, writeFile } from "node:fs/promises"
import { after, before, describe, test } from "node:test"
import { encodeAccessTokenInput } from "../../src/core/jose/access-token.ts"
import { sealJwtSvid } from "../../src/core/jose/jwt-svid.ts"
import { GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseWorkloadId } from "../../src/core/spiffe/id.ts"
import { dpopProof } from "../support/dpop-proof.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { freePort } from "../support/peers/free-port.ts"
import { type Kube, startKube } from "../support/peers/kube.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { type FormFields, openTokenServer, type TokenServer } from "../support/token-server.ts"
import { until } from "../support/until.ts"

const AUDIENCE = "https://kubernetes.demo.example"
const OTHER = "https://api.example"
const WEB = "spiffe://prod.example/ns/demo/sa/web"
const RULES = {
  exports: [{ name: "own", subject: "*", audience: "*" }],
  accepts: [
    {
      name: "kube",
      audience: [AUDIENCE, OTHER],
      subject: "*",
      scopes: ["read"],
      product: ["access-token", "jwt-svid"],
      binding: ["none", "dpop"],
    },
  ],
}

describe("a real API server that trusts Assay", { skip: await skipWithout("kube-apiserver", "etcd") }, () => {
  const stack = new AsyncDisposableStack()
  let server: TokenServer
  let issuer: string
  let kube: Kube
  let file: string

  before(async () => {
    const port = await freePort()
    issuer = `https://127.0.0.1:${port}`
    server = stack.use(await openIssuer(issuer, port))
    ;({ kube, file } = stack.use(await startTrusting(server)))
    await kube.createNamespace("demo")
    await kube.createServiceAccount("demo", "web")
    await kube.createNode("node-1")
    const { tokenFile } = await kube.createReviewer("demo", "assay-server")
    await trustCluster(server, kube, tokenFile)
    await untilKnown(kube, await exchange({ requested_token_type: TOKEN_TYPES.accessToken }))
  })
  after(() => stack.disposeAsync())

  /** What a pod of the cluster gets for its platform token. */
  const exchange = async (form: FormFields, headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const subject_token = await podToken(kube)
    const order = { grant_type: GRANT_TYPES["token-exchange"], audience: AUDIENCE, subject_token, ...form }
    const answer = await server.post("/token", { subject_token_type: TOKEN_TYPES.jwt, ...order }, headers)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return String(answer.body["access_token"])
  }

  for (const [product, requested_token_type] of [
    ["access token", TOKEN_TYPES.accessToken],
    ["JWT-SVID", TOKEN_TYPES.jwt],
  ] as const) {
    test(`[KAS-01][KAS-02] a pod exchanges its token for an ${product}, and is the mapped user`, async () => {
      const isAccess = requested_token_type === TOKEN_TYPES.accessToken
      const token = await exchange({ requested_token_type, ...(isAccess ? { scope: "read" } : {}) })
      const { status, user } = await whoAmI(kube, token)
      assert.equal(status, 201, JSON.stringify(user))
      assert.equal(user.username, WEB)
      assert.equal(user.uid, WEB)
      for (const group of ["spiffe://prod.example", "spiffe://prod.example/ns/demo", "system:authenticated"]) {
        assert.ok(user.groups?.includes(group), group)
      }
      assert.match(user.extra?.["authentication.kubernetes.io/credential-id"]?.[0] ?? "", /^JTI=[0-9a-f]{32}$/)
      assert.deepEqual(user.extra?.["assay/scope"], isAccess ? ["read"] : undefined)
      assert.deepEqual(user.extra?.["assay/client-id"], isAccess ? [WEB] : undefined)
    })
  }

  test("[KAS-01] a RoleBinding gives the mapped user, and the group of its namespace, what they may read", async () => {
    const token = await exchange({ requested_token_type: TOKEN_TYPES.accessToken })
    const read = async (path: string) => (await kube.as(token).raw("GET", path)).status
    assert.equal(await read(MAPS), 403)
    await allow(kube, { kind: "User", name: WEB }, "configmaps")
    await until("the role to count", async () => (await read(MAPS)) === 200, 20_000)
    const services = MAPS.replace("configmaps", "services")
    assert.equal(await read(services), 403)
    await allow(kube, { kind: "Group", name: "spiffe://prod.example/ns/demo" }, "services")
    await until("the group to count", async () => (await read(services)) === 200, 20_000)
  })

  test("[KAS-01] refuses a token for another audience, an expired one, and one of a key that nobody published", async () => {
    const now = Math.floor(Date.now() / 1000)
    const refused = {
      audience: await exchange({ audience: OTHER }),
      expired: await signed({ iat: now - 600, exp: now - 300 }),
      unpublished: makeJwtKey().token({ ...claims(now - 10, now + 300), client_id: WEB }, { typ: "at+jwt" }),
    }
    for (const [why, token] of Object.entries(refused)) assert.equal((await whoAmI(kube, token)).status, 401, why)
    assert.equal((await whoAmI(kube, await signed({ iat: now - 10, exp: now + 300 }))).status, 201)
  })

  test("[KAS-03] refuses a token that is bound to a key, and one that lives longer than a day", async () => {
    const key = makeJwtKey()
    const now = Math.floor(Date.now() / 1000)
    const proof = dpopProof(key, { method: "POST", url: `${issuer}/token`, now })
    const bound = await exchange({ requested_token_type: TOKEN_TYPES.accessToken }, { dpop: proof })
    assert.equal((await whoAmI(kube, bound)).status, 401)
    assert.equal((await whoAmI(kube, await signed({ iat: now - 10, exp: now + 86_401 }))).status, 401)
  })

  test("[KAS-01] refuses tokens of a revoked key once it has seen one of the next key", async () => {
    const before = await exchange({ requested_token_type: TOKEN_TYPES.accessToken })
    assert.equal((await whoAmI(kube, before)).status, 201)
    await revokeKeys(server)
    const later = await exchange({ requested_token_type: TOKEN_TYPES.accessToken })
    await untilKnown(kube, later)
    // Its cache of tokens that were good holds them for ten seconds.
    await until("the old key to be gone", async () => (await whoAmI(kube, before)).status === 401, 30_000)
  })

  test("[KAS-04] forgets a revoked key when the file changes, with no token of the next key in sight", async () => {
    const before = await exchange({ requested_token_type: TOKEN_TYPES.accessToken })
    assert.equal((await whoAmI(kube, before)).status, 201)
    await revokeKeys(server)
    await appendFile(file, "# again\n")
    await until("the key to be forgotten", async () => (await whoAmI(kube, before)).status === 401, 90_000)
  })

  /** An access token of the active key with the times that nobody would be given. */
  const signed = async ({ iat, exp }: { readonly iat: number; readonly exp: number }) => {
    const key = server.pipeline.jwtKeys.active("ES256")
    const rest = { clientId: WEB, scopes: [], actors: [], confirmation: undefined }
    const { iss, sub, aud, jti } = claims(iat, exp)
    const input = encodeAccessTokenInput(key.accessTokenHeader, { iss, sub, aud: [aud], jti, iat, exp, ...rest })
    return sealJwtSvid(input, await key.signer.sign(Buffer.from(input), "p1363"))
  }
  const claims = (iat: number, exp: number) => {
    return { iss: issuer, sub: parseWorkloadId(WEB), aud: AUDIENCE, jti: `test-${iat}-${exp}`, iat, nbf: iat, exp }
  }
})

test("[KAS-01] an API server takes discovery from another address than the issuer's, which has a path", {
  skip: await skipWithout("kube-apiserver", "etcd"),
}, async () => {
  const port = await freePort()
  await using server = await openIssuer(`https://localhost:${port}/tenants/one`, port)
  const discovery = `https://127.0.0.1:${port}/.well-known/openid-configuration`
  await using trusting = await startTrusting(server, "--discovery-url", discovery)
  const form = { grant_type: GRANT_TYPES["token-exchange"], audience: AUDIENCE, subject_token: server.setup.token() }
  const answer = await server.post("/token", { ...form, subject_token_type: TOKEN_TYPES.jwt })
  await untilKnown(trusting.kube, String(answer.body["access_token"]))
})

const MAPS = "/api/v1/namespaces/demo/configmaps"

function openIssuer(issuer: string, port: number): Promise<TokenServer> {
  const listen = { grpc: "127.0.0.1:0", https: `127.0.0.1:${port}`, health: "127.0.0.1:0" }
  const serving = { dns_names: ["assay.example", "localhost"], ip_addresses: ["127.0.0.1"] }
  // The API server asks for the keys again when it meets an unknown one, but not before they are as old as Cache-Control allows.
  const jwt = { publish_ahead: "40s" }
  return openTokenServer({ config: { listen, serving, jwt }, oauth: { issuer }, tokenRules: RULES })
}

interface Trusting extends AsyncDisposable {
  readonly kube: Kube
  /** Its AuthenticationConfiguration. */
  readonly file: string
}

/** An API server with the file that the command prints for this issuer. */
async function startTrusting(server: TokenServer, ...args: readonly string[]): Promise<Trusting> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch())
  const asked = ["oidc", "kube-config", "-c", server.setup.configFile, "--audience", AUDIENCE, ...args]
  const { code, out, err } = await runAssay(asked)
  assert.equal(code, 0, err)
  const file = scratch.path("authentication.yaml")
  await writeFile(file, out)
  const kube = stack.use(await startKube({ authenticationConfig: file }))
  const moved = stack.move()
  return { kube, file, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

/** As if all JWT keys were found out: others sign from now on, and those are published no more. */
async function revokeKeys({ rotations: { jwt } }: TokenServer): Promise<void> {
  const asking = { actor: "alice", requestId: "q1" }
  const outcome = await jwt.operate.emergency({ by: "alice", reason: "found out", consumers: "all" }, asking)
  assert.equal(outcome.kind, "moved")
  for (const phase of ["retired", "stable"]) {
    const next = await jwt.operate.advance(asking)
    assert.equal(next.kind === "moved" && next.state.phase, phase)
  }
}

function trustCluster(server: TokenServer, kube: Kube, tokenFile: string): Promise<void> {
  const access = { ca_file: kube.caFile, token_file: tokenFile }
  const keys = { jwks_url: kube.jwksUrl, ...access }
  const review = { mode: "always", url: kube.url, ...access }
  const cluster = { name: "real", issuer: kube.issuer, audiences: ["assay"], keys, token_review: review }
  return server.reload({ clusters: [cluster] })
}

let pods = 0
async function podToken(kube: Kube): Promise<string> {
  const wanted = { namespace: "demo", serviceAccount: "web", audience: "assay" }
  const name = `web-${pods++}`
  const uid = await kube.createPod({ ...wanted, name, node: "node-1" })
  return kube.requestToken({ ...wanted, boundPod: { name, uid } })
}

interface KubeUser {
  readonly username?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

async function whoAmI(kube: Kube, token: string): Promise<{ readonly status: number; readonly user: KubeUser }> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
  const { status, text } = await kube.as(token).raw("POST", path, review)
  const user: KubeUser = status === 201 ? JSON.parse(text).status.userInfo : {}
  return { status, user }
}

/** The API server reads discovery in the background, and tries again every ten seconds. */
async function untilKnown(kube: Kube, token: string): Promise<void> {
  const known = async () => (await whoAmI(kube, token)).status === 201
  await until("the API server to know the issuer", known, 60_000).catch((thrown: unknown) => {
    throw new Error(kube.logTail().slice(-2000), { cause: thrown })
  })
}

/** Let somebody list a resource of the namespace `demo`. */
async function allow(kube: Kube, subject: object, resource: string): Promise<void> {
  const group = "rbac.authorization.k8s.io"
  const path = `/apis/${group}/v1/namespaces/demo`
  const common = { apiVersion: `${group}/v1`, metadata: { name: `read-${resource}` } }
  const rules = [{ apiGroups: [""], resources: [resource], verbs: ["list"] }]
  await kube.admin.call("POST", `${path}/roles`, { ...common, kind: "Role", rules })
  const roleRef = { apiGroup: group, kind: "Role", name: `read-${resource}` }
  const subjects = [{ apiGroup: group, ...subject }]
  await kube.admin.call("POST", `${path}/rolebindings`, { ...common, kind: "RoleBinding", roleRef, subjects })
}
