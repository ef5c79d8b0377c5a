import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { OAuthCall, TokenAnswer } from "../../src/app/exchange/answer-token-request.ts"
import type { Form } from "../../src/core/oauth/form.ts"
import { ASSERTION_TYPES } from "../../src/core/oauth/urns.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { openTokenEndpoint, type TokenEndpoint } from "../../src/main/server/token-endpoint.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import { FakeClock } from "./fake-clock.ts"
import { type JwtKey, makeJwtKey } from "./jwt-key.ts"
import { quietLog } from "./quiet-log.ts"
import { makeScratch } from "./scratch.ts"
import { makeServerSetup } from "./server-setup.ts"
import { openPipelineUnderTest, type PipelineUnderTest } from "./server-under-test.ts"
import {
  ADMIN_AUDIENCE,
  CI,
  CLIENT_ID,
  ISSUER,
  KUBE,
  type TokenKeys,
  type TokenKind,
  tokenParts,
  WEB,
} from "./token-kinds.ts"

/** The token endpoint as the server puts it together, without a socket, and the private halves of every key that it trusts. */
export interface TokenWorld extends AsyncDisposable {
  readonly server: PipelineUnderTest
  readonly endpoint: TokenEndpoint
  readonly keys: TokenKeys
  /** A fresh token that is good. */
  token(kind: TokenKind, claims?: object): string
  /** A request without a connection; a list stands for a parameter that is repeated. */
  call(fields: Readonly<Record<string, string | readonly string[]>>, more?: Partial<OAuthCall>): OAuthCall
  ask(fields: Readonly<Record<string, string | readonly string[]>>, more?: Partial<OAuthCall>): Promise<TokenAnswer>
  /** Parameters by which a workload authenticates; default {@link WEB}. */
  authentication(id?: string): Readonly<Record<string, string>>
}

export const WORLD_NOW = 1_800_000_000
export const API = "https://api.example"
export const USER = "spiffe://prod.example/ns/shop/sa/user"

export async function openTokenWorld(clock = new FakeClock(WORLD_NOW)): Promise<TokenWorld> {
  await using stack = new AsyncDisposableStack()
  const [own, federated, cluster, client, outside, proof] = Array.from({ length: 6 }, () => makeJwtKey())
  if (!own || !federated || !cluster || !client || !outside || !proof) throw new RangeError("too few keys")
  const keys = { own, federated, cluster, client, outside, proof }
  const { directory } = stack.use(await makeScratch("world"))
  for (const name of ["cluster", "client", "outside"] as const) {
    await writeFile(join(directory, `${name}.jwks`), jwksOf(keys[name]))
  }
  const config = configOf(directory)
  const setup = await makeServerSetup(directory, config)
  const server = stack.use(await openPipelineUnderTest({ setup, config, clock }))
  await trustKeys(server, keys)
  const { pipeline, state, live, log } = server
  const events = makeServerEvents(quietLog, server.metrics)
  const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes))
  const endpoint = await openTokenEndpoint({
    addresses: { issuer: ISSUER, endpoints: ISSUER },
    pipeline,
    state,
    live,
    clock,
    random,
    events,
    log,
  })
  const moved = stack.move()
  const token: TokenWorld["token"] = (kind, claims = {}) => {
    const parts = tokenParts(kind, keys, WORLD_NOW)
    return parts.key.token({ ...parts.claims, ...claims }, parts.header)
  }
  const signal = new AbortController().signal
  return {
    server,
    endpoint,
    keys,
    token,
    call,
    ask: (fields, more = {}) => endpoint.answerToken(call(fields, more), signal),
    authentication: (id = WEB) => ({
      client_assertion_type: ASSERTION_TYPES.jwtSpiffe,
      client_assertion: token(id.startsWith("spiffe://other.example/") ? "federated JWT-SVID" : "JWT-SVID", {
        sub: id,
      }),
    }),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function call(fields: Readonly<Record<string, string | readonly string[]>>, more: Partial<OAuthCall> = {}): OAuthCall {
  return { form: formOf(fields), authorization: undefined, dpop: [], chain: [], requestId: "test", ...more }
}

/** As the door reads it, but for bounds of length, so that verifiers are asked about everything. */
function formOf(fields: Readonly<Record<string, string | readonly string[]>>): Form {
  const values = new Map(
    Object.entries(fields).map(([name, value]) => [name, [value].flat().filter((one) => one !== "")]),
  )
  const names = [...values].filter(([, list]) => list.length > 0).map(([name]) => name)
  return { one: (name) => values.get(name)?.[0], all: (name) => values.get(name) ?? [], names }
}

/** Publish a key whose private half is the test's, and federate. */
async function trustKeys({ pipeline: { trust } }: PipelineUnderTest, keys: TokenKeys): Promise<void> {
  const { kid, algorithm, jwk } = keys.own.authority
  const record = { keyId: "of-the-test", kid, algorithm: "ES256" as const, jwk, state: "retired" as const }
  if (algorithm !== record.algorithm) throw new RangeError("not ES256")
  await trust.update((before) => ({
    ...before,
    epoch: before.epoch + 1,
    jwtKeys: [...before.jwtKeys, { ...record, since: WORLD_NOW }],
  }))
  const other = { trustDomain: parseTrustDomain("other.example"), x509Authorities: [], sequence: 1 }
  await trust.setFederated([{ ...other, jwtAuthorities: [keys.federated.authority], refreshHint: undefined }])
}

function jwksOf({ authority: { kid, jwk } }: JwtKey): string {
  return JSON.stringify({ keys: [{ ...jwk, kid, use: "sig", alg: "ES256" }] })
}

function configOf(folder: string) {
  const keysOf = (name: string) => ({ jwks_file: join(folder, `${name}.jwks`) })
  return {
    listen: { grpc: "127.0.0.1:0", https: "127.0.0.1:0", health: "127.0.0.1:0" },
    limits: { identity_rate: "1000/s", identity_burst: 10_000 },
    clusters: [
      { name: "main", issuer: KUBE, audiences: ["assay"], keys: keysOf("cluster"), token_review: { mode: "off" } },
    ],
    token_rules: { exports: [{ ...EVERYBODY, name: "all", audience: "*" }], accepts: [ACCEPT] },
    oauth: {
      issuer: ISSUER,
      clients: [{ client_id: CLIENT_ID, spiffe_id: "spiffe://prod.example/vm/billing", keys: keysOf("client") }],
      external_issuers: [
        { name: "ci", issuer: CI, audiences: [ISSUER], keys: keysOf("outside"), spiffe_id: "/ci/{{repository...}}" },
      ],
      resources: [{ audience: ISSUER, holders: [WEB] }],
    },
    admin: {
      audience: ADMIN_AUDIENCE,
      issuers: [
        {
          name: "staff",
          issuer: CI,
          audiences: [ADMIN_AUDIENCE],
          keys: keysOf("outside"),
          spiffe_id: "/ci/{{repository...}}",
        },
      ],
    },
  }
}

const ALL = ["*", "spiffe://other.example/*"]
const EVERYBODY = { subject: ALL, client: ALL, actor: ALL, mode: ["self", "impersonation", "delegation"] }
const ACCEPT = {
  name: "all",
  audience: [API, ISSUER, "spiffe://prod.example"],
  ...EVERYBODY,
  product: ["access-token", "jwt-svid", "x509-svid"],
  binding: ["none", "dpop", "mtls"],
  scopes: ["read", "write"],
  default_scopes: [],
}
