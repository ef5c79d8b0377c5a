import { readFile } from "node:fs/promises"
import { authorizeId } from "../../../client/authorize.ts"
import { makeAccessTokenVerifier } from "../../../client/make-access-token-verifier.ts"
import { openJwtSource } from "../../../client/open-jwt-source.ts"
import { openX509Source } from "../../../client/open-x509-source.ts"
import { makeSvidFetch } from "../../../client/svid-fetch.ts"
import { TokenEndpointError } from "../../../client/token-endpoint-error.ts"
import { makeTokenSource, type TokenSource } from "../../../client/token-source.ts"
import { parseTrustDomain, serverId } from "../../../core/spiffe/id.ts"
import type { Step } from "../step.ts"
import { idOf } from "../world.ts"
import { ORDERS, TOKEN_ISSUER, TRUST_DOMAIN } from "../world-files.ts"

/** A platform token goes in, an access token for one service comes out, and no other. */
export const tokenExchange: Step = {
  name: "token-exchange",
  shows: "web exchanges its platform token for an access token that the orders service verifies",
  async run(world, signal) {
    const [server, web] = await Promise.all([world.server(), world.agent("web")])
    const socket = `unix://${web.socket}`
    await using certificates = await openX509Source({ socket, signal })
    await using jwtSource = await openJwtSource({ socket, signal })
    // Who answers is known by its SPIFFE ID, as everybody here is.
    const fetch = makeSvidFetch(certificates, authorizeId(serverId(parseTrustDomain(TRUST_DOMAIN))))
    const tokenEndpoint = `https://${server.https}/token`
    const common = { issuer: TOKEN_ISSUER, tokenEndpoint, jwtSource, fetch }
    using orders = makeTokenSource({ ...common, audience: ORDERS, scope: ["read"] })
    using payroll = makeTokenSource({ ...common, audience: "https://payroll.demo.example" })
    const subject = { token: (await readFile(web.tokenFile, "utf8")).trim(), type: "jwt" as const }

    const asked = performance.now()
    const { token } = await orders.exchange(subject, { signal })
    const exchanged = performance.now()
    const jwksUri = `https://${server.https}/keys`
    const verify = makeAccessTokenVerifier({ issuer: TOKEN_ISSUER, audience: ORDERS, jwksUri, fetch })
    const { subject: who, scopes } = await verify(token)
    const verified = performance.now()
    if (who !== idOf("web") || scopes.join() !== "read") throw new Error(`the token is of ${who} for ${scopes.join()}`)
    return [
      `exchanged for audience ${ORDERS}, scope read, in ${(exchanged - asked).toFixed(1)} ms`,
      `verified by the published keys as ${who} in ${(verified - exchanged).toFixed(1)} ms`,
      `refused for another audience: ${await refusalOf(payroll, subject, signal)}`,
    ]
  },
}

async function refusalOf(
  source: TokenSource,
  subject: Parameters<TokenSource["exchange"]>[0],
  signal: AbortSignal,
): Promise<string> {
  try {
    await source.exchange(subject, { signal })
  } catch (thrown) {
    if (thrown instanceof TokenEndpointError) return `"${thrown.message}"`
    throw thrown
  }
  throw new Error("a token was given that no rule allows")
}
