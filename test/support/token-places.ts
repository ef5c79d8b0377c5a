import { hash } from "node:crypto"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeVerifyAccessToken } from "../../src/client/access-token-verifier.ts"
import { authorizeAny } from "../../src/client/client.ts"
import { makeIssuerKeys } from "../../src/client/issuer-keys.ts"
import { makeJwtSource } from "../../src/client/jwt-source.ts"
import { makeReplayWindow } from "../../src/client/replay-window.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { ASSERTION_TYPES, GRANT_TYPES, TOKEN_TYPES } from "../../src/core/oauth/urns.ts"
import { encodeJwtBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { openAdminCallers } from "../../src/main/server/admin-callers.ts"
import { FakeClock } from "./fake-clock.ts"
import { FakeSource } from "./fake-source.ts"
import { fakeBundle, fakeSvid, fakeView } from "./fake-view.ts"
import { ADMIN_AUDIENCE, ISSUER, type TokenKeys, type TokenKind, tokenParts, WEB } from "./token-kinds.ts"
import { API, type TokenWorld, USER, WORLD_NOW } from "./token-world.ts"
import { openWorkloadPeer, secured, unary } from "./workload-peer.ts"

/** A place at which somebody's token is verified. */
export interface TokenPlace {
  /** Kinds of token that belong here; every other is refused. */
  readonly takes: readonly TokenKind[]
  /** Resolves when the token counts. */
  readonly enter: (token: string) => Promise<unknown>
  /** A token must be for nobody else; or it may be for anybody. Default: one of its audiences is this place's. */
  readonly audience?: "sole" | "any"
  /** What a good token says besides. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Files of `src` whose reading of a token this place goes through. */
  readonly through: readonly string[]
}

/** Every verifier of `src`, each behind the composition that the programs use. */
export async function openTokenPlaces(
  world: TokenWorld,
  stack: AsyncDisposableStack,
): Promise<Readonly<Record<string, TokenPlace>>> {
  const { server, endpoint, keys } = world
  const target = { audience: API }
  const signal = new AbortController().signal
  const own = { grant_type: "client_credentials", ...target }
  const exchange = (fields: Readonly<Record<string, string>>) =>
    world.ask({ grant_type: GRANT_TYPES["token-exchange"], ...target, ...world.authentication(), ...fields })
  const subject = (type: string) => (token: string) => exchange({ subject_token: token, subject_token_type: type })
  const actor = (type: string) => (token: string) =>
    exchange({
      subject_token: world.token("JWT-SVID", { sub: USER }),
      subject_token_type: TOKEN_TYPES.jwt,
      actor_token: token,
      actor_token_type: type,
    })
  const assertion = (type: string) => (token: string) =>
    world.ask({ ...own, client_assertion_type: type, client_assertion: token })
  const asCaller = (token: string) => world.call({ token, ...world.authentication() })
  const peer = stack.use(await openWorkloadPeer(sourceWith(keys)))
  const source = stack.use(await jwtSourceWith(keys))
  const verify = accessTokenVerifier(keys)
  const bound = boundToken(keys)
  const { pipeline, live, clock } = server
  const { proveAccessToken } = endpoint
  const operator = openAdminCallers({ pipeline, live, clock, proveAccessToken })
  const jwts: readonly TokenKind[] = ["platform token", "JWT-SVID", "federated JWT-SVID", "outside token"]
  const byClaims = [
    "src/app/exchange/authenticate-client.ts",
    "src/app/attest/verify-token.ts",
    "src/app/attest/prove-jwt-svid.ts",
    "src/app/attest/prove-external-token.ts",
  ]
  const accessToken = ["src/app/attest/prove-access-token.ts"]
  return {
    "the bearer token of the identity API": {
      takes: ["platform token"],
      enter: (token) => server.pipeline.attest(token, signal),
      through: ["src/app/attest/verify-token.ts"],
    },
    "client_assertion of type jwt-spiffe": {
      takes: ["JWT-SVID", "federated JWT-SVID"],
      audience: "sole",
      enter: assertion(ASSERTION_TYPES.jwtSpiffe),
      through: ["src/app/attest/prove-jwt-svid.ts"],
    },
    "client_assertion of type jwt-bearer": {
      takes: ["platform token", "client assertion"],
      audience: "sole",
      enter: assertion(ASSERTION_TYPES.jwtBearer),
      through: [...byClaims.slice(0, 2), "src/app/attest/prove-client-assertion.ts"],
    },
    "subject_token of type jwt": { takes: jwts, enter: subject(TOKEN_TYPES.jwt), through: byClaims },
    "subject_token of type id_token": {
      takes: ["outside token"],
      enter: subject(TOKEN_TYPES.idToken),
      through: ["src/app/attest/prove-external-token.ts"],
    },
    "subject_token of type access_token": {
      takes: ["access token"],
      enter: subject(TOKEN_TYPES.accessToken),
      through: accessToken,
    },
    "actor_token of type jwt": { takes: jwts, enter: actor(TOKEN_TYPES.jwt), through: byClaims },
    "actor_token of type id_token": {
      takes: ["outside token"],
      enter: actor(TOKEN_TYPES.idToken),
      through: ["src/app/attest/prove-external-token.ts"],
    },
    "actor_token of type access_token": {
      takes: ["access token"],
      enter: actor(TOKEN_TYPES.accessToken),
      through: accessToken,
    },
    "assertion of a client that does not authenticate": {
      takes: jwts,
      audience: "sole",
      enter: (token) => world.ask({ grant_type: GRANT_TYPES["jwt-bearer"], ...target, assertion: token }),
      through: byClaims,
    },
    "assertion of a client that does": {
      takes: jwts,
      audience: "sole",
      enter: (token) =>
        world.ask({ grant_type: GRANT_TYPES["jwt-bearer"], ...target, ...world.authentication(), assertion: token }),
      through: byClaims,
    },
    "token at /introspect": {
      takes: ["access token"],
      audience: "any",
      enter: async (token) => {
        const said = await endpoint.introspect(asCaller(token), "json", signal)
        if (said.form === "json" && said.answer.active) return
        throw new IdentityError("unauthenticated", "not active", { reason: "token-invalid" })
      },
      through: ["src/app/exchange/introspect.ts", ...accessToken],
    },
    "token at /revoke": {
      takes: ["access token"],
      audience: "any",
      enter: async (token) => {
        const count = async () => (await server.state.store.revocationLog.readAfter(0, 1000)).length
        const before = await count()
        await endpoint.revoke(asCaller(token), signal)
        if ((await count()) > before) return
        throw new IdentityError("unauthenticated", "nothing was revoked", { reason: "token-invalid" })
      },
      through: ["src/app/exchange/revoke.ts", ...accessToken],
    },
    "the DPoP header at /token": {
      takes: ["DPoP proof"],
      enter: (token) => world.ask({ ...own, ...world.authentication() }, { dpop: [token] }),
      through: ["src/app/exchange/prove-dpop.ts"],
    },
    "the bearer token of the admin API": {
      takes: ["access token", "outside token"],
      audience: "sole",
      claims: { aud: ADMIN_AUDIENCE },
      enter: (token) => operator({ chain: [], token }, () => undefined, signal),
      through: ["src/app/exchange/authenticate-client.ts", "src/app/attest/prove-external-token.ts", ...accessToken],
    },
    "ValidateJWTSVID of the agent": {
      takes: ["JWT-SVID", "federated JWT-SVID"],
      enter: (svid) => {
        const request = { audience: ISSUER, svid }
        return unary((done) => peer.client.validateJwtsvid(request, secured(), done)).catch((thrown: unknown) => {
          throw new IdentityError("malformed", String(thrown), { reason: `grpc-${Object(thrown).code}` })
        })
      },
      through: ["src/app/deliver/validate-jwt-svid.ts"],
    },
    "JwtSource.validate of the client library": {
      takes: ["JWT-SVID", "federated JWT-SVID"],
      enter: (token) => source.validate(token, ISSUER),
      through: ["src/app/deliver/validate-jwt-svid.ts"],
    },
    "verifyAccessToken of the client library": {
      takes: ["access token"],
      enter: (token) => verify(token),
      through: ["src/client/access-token-verifier.ts"],
    },
    "the DPoP proof of verifyAccessToken": {
      takes: ["DPoP proof"],
      claims: { ath: hash("sha256", bound, "base64url") },
      enter: (proof) => verify(bound, { dpop: { proofs: [proof], method: "POST", url: `${ISSUER}/token` } }),
      through: ["src/client/access-token-verifier.ts", "src/app/exchange/prove-dpop.ts"],
    },
  }
}

/** What the agent of a workload holds. */
function sourceWith({ own, federated }: TokenKeys): FakeSource {
  const svids = [fakeSvid(WEB, { federatesWith: [parseTrustDomain("other.example")] })]
  const bundles = {
    own: fakeBundle("prod.example", { jwtAuthorities: [own.authority] }),
    federated: [fakeBundle("other.example", { jwtAuthorities: [federated.authority] })],
  }
  return new FakeSource({ kind: "ready", view: fakeView({ svids, ...bundles }) })
}

function jwtSourceWith({ own, federated }: TokenKeys) {
  const bundles = new Map([
    ["spiffe://prod.example", encodeJwtBundle({ jwtAuthorities: [own.authority] })],
    ["spiffe://other.example", encodeJwtBundle({ jwtAuthorities: [federated.authority] })],
  ])
  const api = {
    async *watchJwtBundles(signal: AbortSignal) {
      yield bundles
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))
    },
    fetchJwt: () => Promise.reject(new Error("not asked for")),
  }
  const terms = { signal: undefined, onProblem: undefined, deadline: 30_000, skew: 10 }
  const deps = { api, verifier: makeJwsVerifier(), clock: new FakeClock(WORLD_NOW), random: () => Buffer.alloc(6) }
  return makeJwtSource(terms, deps)
}

function accessTokenVerifier({ own }: TokenKeys) {
  const { jwk, kid, algorithm } = own.authority
  const document = JSON.stringify({ keys: [{ ...jwk, kid, alg: algorithm, use: "sig" }] })
  const deps = { verifier: makeJwsVerifier(), clock: new FakeClock(WORLD_NOW) }
  const fetch = async () => new Response(document)
  const keys = makeIssuerKeys({ issuer: ISSUER, jwksUri: `${ISSUER}/keys`, fetch, onProblem: undefined }, deps)
  const terms = { issuer: ISSUER, audiences: [ISSUER], subject: authorizeAny(), skew: 10 }
  return makeVerifyAccessToken(terms, { ...deps, keys, replayLog: makeReplayWindow(deps.clock) })
}

/** An access token that is bound to the key of the proofs. */
function boundToken(keys: TokenKeys): string {
  const { key, claims, header } = tokenParts("access token", keys, WORLD_NOW)
  return key.token({ ...claims, cnf: { jkt: keys.proof.authority.kid } }, header)
}
