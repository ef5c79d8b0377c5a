import { randomBytes, randomUUID } from "node:crypto"
import { credentials } from "@grpc/grpc-js"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import { Secret as SdsSecret } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import { DiscoveryRequest, type DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { askRaw } from "./ask-raw.ts"
import { dpopProof } from "./dpop-proof.ts"
import { makeHttpsFetch } from "./https-fetch.ts"
import { bearer, IdentityPeer, provenKey } from "./identity-peer.ts"
import { makeJwtKey } from "./jwt-key.ts"
import { runAssay } from "./run-assay.ts"
import { ADMIN_AUDIENCE, API, addPrivateKey, ISSUER, MARKER, type SecretWorld, STAFF } from "./secret-world.ts"
import { until } from "./until.ts"

/** Pass secrets through every door of a server and an agent, in every place where one may stand, and some where none may. */
export async function passSecrets(world: SecretWorld): Promise<void> {
  const jwtSvid = await passIdentity(world)
  await passRemoteSds(world)
  await passAgent(world)
  await passTokenEndpoint(world, jwtSvid)
  await passAdmin(world)
  await passRemoteAdmin(world)
  await passCommands(world)
}

/** A new secret that looks like nothing in particular; known to the hunt. */
function canary({ hunt }: SecretWorld, name: string): string {
  const text = `canary-${randomBytes(24).toString("base64url")}`
  hunt.add(name, text)
  return text
}

/** A platform token of a new pod; known to the hunt. */
function platformToken({ setup, hunt }: SecretWorld, name: string, lifetime = 3600): string {
  const token = setup.token({ serviceAccount: MARKER, lifetime })
  hunt.addToken(name, token)
  return token
}

/** The same token with another signature, which is that of nobody. */
function forged({ hunt }: SecretWorld, name: string, token: string): string {
  const [header, claims] = token.split(".")
  const fake = `${header}.${claims}.${randomBytes(64).toString("base64url")}`
  hunt.addToken(name, fake)
  return fake
}

/** A JWT-SVID for the issuer that the server gave. */
async function passIdentity(world: SecretWorld): Promise<string> {
  const { server, roots, hunt, note } = world
  using peer = new IdentityPeer({ address: server.address, roots })
  const good = platformToken(world, "good token")
  const bad = [
    forged(world, "forged token", good),
    platformToken(world, "expired token", -60),
    canary(world, "garbage token"),
    `${platformToken(world, "token with a tail")}.${canary(world, "tail of a token")}`,
  ]
  await peer.x509({ key: provenKey(good) }, good)
  const { svid } = await peer.jwt({ audience: [ISSUER] }, good)
  hunt.addToken("JWT-SVID", svid)
  for (const token of bad) {
    await refused(world, "IssueX509", peer.x509({ key: provenKey(token) }, token))
    await refused(world, "IssueJwt", peer.jwt({}, token))
    const batch = await peer.batchJwt([{ token, audience: ["db"], spiffeId: "" }], good)
    note("BatchIssueJwt", batch)
    note("BatchIssueX509", await peer.batchX509([{ token, key: provenKey(token) }], good))
  }
  await refused(world, "IssueX509 with a proof of another token", peer.x509({ key: provenKey("other") }, good))
  await refused(world, "IssueJwt for a name", peer.jwt({ spiffeId: canary(world, "name that was asked for") }, good))
  return svid
}

async function passRemoteSds(world: SecretWorld): Promise<void> {
  const { server, roots, hunt, note } = world
  const client = new SecretDiscoveryServiceClient(server.address, credentials.createSsl(Buffer.from(roots)), {
    "grpc.ssl_target_name_override": "localhost",
  })
  try {
    const good = platformToken(world, "token of a proxy")
    for (const token of [good, forged(world, "forged token of a proxy", good)]) {
      const call = client.streamSecrets(bearer(token))
      const found: SdsSecret[] = []
      let ended = false
      call.on("data", ({ resources }: DiscoveryResponse) => {
        found.push(...resources.map(({ value }) => SdsSecret.decode(value)))
      })
      call.on("error", (error) => note("remote SDS", error))
      call.on("status", () => {
        ended = true
      })
      const names = ["default", "ROOTCA", canary(world, "name of a secret")]
      call.write(DiscoveryRequest.fromPartial({ resourceNames: names, node: { id: canary(world, "id of a node") } }))
      await until("an answer", () => ended || found.length >= 2)
      for (const { type } of found) {
        if (type?.$case !== "tlsCertificate") continue
        const key = type.value.privateKey?.specifier
        if (key?.$case === "inlineBytes") addPrivateKey(hunt, "remote SDS", key.value.toString())
      }
      call.cancel()
    }
  } finally {
    client.close()
  }
}

async function passAgent(world: SecretWorld): Promise<void> {
  const { agent, hunt } = world
  const signal = AbortSignal.timeout(20_000)
  using api = openWorkloadClient(parseWorkloadEndpoint(`unix://${agent.socket}`))
  for await (const { svids } of api.watchX509(signal)) {
    for (const { key } of svids) addPrivateKey(hunt, "Workload API", key)
    break
  }
  const [held] = await api.fetchJwt(["db"], undefined, signal)
  hunt.addToken("JWT-SVID of the agent", held?.token ?? "")
  await api.validateJwt("db", held?.token ?? "", signal)
  const fake = forged(world, "forged JWT-SVID", held?.token ?? "")
  await refused(world, "ValidateJWTSVID", api.validateJwt("db", fake, signal))
  await refused(world, "ValidateJWTSVID", api.validateJwt("db", canary(world, "garbage JWT-SVID"), signal))
}

type Fields = Readonly<Record<string, string>>

async function passTokenEndpoint(world: SecretWorld, jwtSvid: string): Promise<void> {
  const { server, roots, hunt, note, client } = world
  const ask = makeHttpsFetch({ ca: roots, port: server.httpsPort ?? 0 })
  const now = () => Math.floor(Date.now() / 1000)
  const post = async (path: string, fields: Fields, headers: Fields = {}): Promise<string> => {
    const response = await ask(`${ISSUER}${path}`, { method: "POST", body: new URLSearchParams(fields), headers })
    const text = await response.text()
    const given = /"access_token":"([^"]+)"/.exec(text)?.[1]
    if (given !== undefined) hunt.addToken(`access token ${hunt.names.length}`, given)
    const place = `POST ${path} ${response.status}`
    note(place, JSON.stringify([...response.headers]) + (given === undefined ? text : ""))
    return given ?? ""
  }
  const spiffe = (assertion: string) => {
    return { client_assertion_type: ASSERTION_TYPES.jwtSpiffe, client_assertion: assertion }
  }
  const own = { grant_type: "client_credentials", audience: API }
  const access = await post("/token", { ...own, ...spiffe(jwtSvid) })
  if (access === "") throw new Error("no access token was given")
  for (const assertion of [forged(world, "forged assertion", jwtSvid), canary(world, "garbage assertion")]) {
    await post("/token", { ...own, ...spiffe(assertion) })
  }
  const claims = { iss: "billing", sub: "billing", aud: ISSUER, iat: now(), exp: now() + 60, jti: randomUUID() }
  const assertion = client.token(claims)
  hunt.addToken("client assertion", assertion)
  const assertionForm = { client_assertion_type: ASSERTION_TYPES.jwtBearer, client_assertion: assertion }
  // The second one is a replay.
  for (let i = 0; i < 2; i++) await post("/token", { ...own, ...assertionForm })
  await post("/token", { ...own, client_id: "billing", client_secret: canary(world, "client secret") })
  const basic = Buffer.from(`billing:${canary(world, "client secret in Basic")}`).toString("base64")
  await post("/token", own, { authorization: `Basic ${basic}` })
  await post("/token", own, { authorization: `Bearer ${canary(world, "bearer at the token endpoint")}` })
  await passDpop(world, (proof) => post("/token", { ...own, ...spiffe(jwtSvid) }, { dpop: proof }))
  const subject = platformToken(world, "subject token")
  for (const subject_token of [subject, forged(world, "forged subject token", subject), canary(world, "subject")]) {
    const form = { grant_type: GRANT_TYPES["token-exchange"], audience: API, subject_token }
    await post("/token", { ...form, ...spiffe(jwtSvid), subject_token_type: TOKEN_TYPES.jwt })
    await post("/token", { ...form, subject_token_type: canary(world, "type of a token") })
    await post("/token", { grant_type: GRANT_TYPES["jwt-bearer"], audience: API, assertion: subject_token })
  }
  await post("/token", { ...own, ...spiffe(jwtSvid), [canary(world, "name of a parameter")]: "x" })
  for (const token of [
    access,
    jwtSvid,
    forged(world, "forged access token", access),
    canary(world, "token asked about"),
  ]) {
    await post("/introspect", { token, ...spiffe(jwtSvid) })
    await post("/revoke", { token, ...spiffe(jwtSvid) })
  }
  for (const path of ["/token", "/introspect", "/.well-known/openid-configuration", "/keys", "/debug"]) {
    const query = `access_token=${canary(world, `token in the query of ${path}`)}&token=${access}`
    const response = await ask(`${ISSUER}${path}?${query}`, { headers: { authorization: `Bearer ${access}` } })
    note(`GET ${path} ${response.status}`, JSON.stringify([...response.headers]) + (await response.text()))
  }
}

/** A proof that is good, the same once more, and one that is not signed by its key. */
async function passDpop(world: SecretWorld, send: (proof: string) => Promise<string>): Promise<void> {
  const key = makeJwtKey()
  const proof = dpopProof(key, { method: "POST", url: `${ISSUER}/token`, now: Math.floor(Date.now() / 1000) })
  world.hunt.addToken("DPoP proof", proof)
  if ((await send(proof)) === "") throw new Error("no token was bound to a DPoP key")
  await send(proof)
  await send(forged(world, "forged DPoP proof", proof))
  await send(canary(world, "garbage DPoP proof"))
}

async function passAdmin(world: SecretWorld): Promise<void> {
  const headers = { "assay-admin": "1" }
  const json = { ...headers, "content-type": "application/json" }
  const orders = [
    { path: "/admin/v1/status", headers: { ...headers, authorization: `Bearer ${canary(world, "admin bearer")}` } },
    { path: "/admin/v1/status", headers: { authorization: `Bearer ${canary(world, "admin bearer without header")}` } },
    { path: `/admin/v1/status?token=${canary(world, "token in an admin query")}` },
    { path: `/admin/v1/issuances?serial=${canary(world, "token as a serial")}` },
    { path: `/admin/v1/${canary(world, "token as an admin path")}` },
    {
      method: "POST",
      path: "/admin/v1/rotation/start",
      headers: json,
      body: JSON.stringify({ [canary(world, "name of an admin member")]: canary(world, "value of an admin member") }),
    },
    { method: "POST", path: "/admin/v1/rotation/start", headers: json, body: `{"${canary(world, "torn admin body")}` },
  ]
  for (const order of orders) {
    // The path is the caller's own, and no part of what the server says.
    world.note(`admin ${order.method ?? "GET"}`, await askRaw(world.adminSocket, order))
  }
  for (const path of [
    "/admin/v1/openapi.json",
    "/admin/v1/issuances",
    "/admin/v1/authorities",
    "/admin/v1/consumers",
  ]) {
    world.note(`admin ${path}`, await askRaw(world.adminSocket, { path }))
  }
}

async function passRemoteAdmin(world: SecretWorld): Promise<void> {
  const { hunt, client, roots, adminPort, note } = world
  const ask = makeHttpsFetch({ ca: roots, port: adminPort })
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: STAFF, aud: ADMIN_AUDIENCE, sub: MARKER, iat: now, exp: now + 300 }
  const good = client.token(claims, { typ: "JWT" })
  hunt.addToken("token of an operator", good)
  const expired = client.token({ ...claims, exp: now - 60 }, { typ: "JWT" })
  hunt.addToken("expired token of an operator", expired)
  const forgery = forged(world, "forged token of an operator", good)
  for (const authorization of [
    ...[good, expired, forgery, canary(world, "remote admin bearer")].map((token) => `Bearer ${token}`),
    `Basic ${Buffer.from(`ops:${canary(world, "admin password")}`).toString("base64")}`,
  ]) {
    for (const path of [
      "/status",
      "/audit",
      "/rotation/plan",
      `/status?token=${canary(world, "remote admin query")}`,
    ]) {
      const headers = { "assay-admin": "1", authorization }
      const response = await ask(`https://localhost/admin/v1${path}`, { headers })
      note(`remote admin ${response.status}`, JSON.stringify([...response.headers]) + (await response.text()))
      const wanted = authorization === `Bearer ${good}` && path === "/status"
      if (wanted !== (response.status === 200 && path === "/status")) throw new Error(`${path}: ${response.status}`)
    }
  }
}

/** What the command line is given on standard input, and says. */
async function passCommands(world: SecretWorld): Promise<void> {
  const { setup, agent, note } = world
  const good = platformToken(world, "token to explain")
  for (const token of [good, forged(world, "forged token to explain", good), canary(world, "garbage to explain")]) {
    for (const form of ["table", "json"]) {
      const { out, err } = await runAssay(["explain", "-c", setup.configFile, "--token", "-", "-o", form], token)
      note("assay explain", out + err)
    }
    const socket = ["--socket", agent.socket]
    const { out, err } = await runAssay(["api", "validate", "jwt", "--audience", "db", "--svid", "-", ...socket], token)
    note("assay api validate jwt", out + err)
  }
}

/** @throws Error when the call succeeds */
async function refused({ note }: SecretWorld, place: string, call: Promise<unknown>): Promise<void> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome === undefined) throw new Error(`${place} was not refused`)
  note(place, outcome)
}
