import { toIdentityError } from "../../../core/errors.ts"
import type { WorkloadApi } from "../../../ports/workload-api.ts"
import type { Step } from "../step.ts"
import { idOf } from "../world.ts"

/** A token for one audience: good there, refused elsewhere. */
export const jwtSvid: Step = {
  name: "jwt-svid",
  shows: "web gets a JWT-SVID for api, whose agent validates it",
  async run(world, signal) {
    const [web, api] = await Promise.all([world.agent("web"), world.agent("api")])
    const audience = idOf("api")
    const asked = performance.now()
    const [held] = await web.workload.api.fetchJwt([audience], undefined, signal)
    const fetched = performance.now()
    if (held === undefined) throw new Error("the Workload API gave no JWT-SVID")
    const { spiffeId, claims } = await api.workload.api.validateJwt(audience, held.token, signal)
    const validated = performance.now()
    if (spiffeId !== idOf("web")) throw new Error(`the token is of ${spiffeId}, not of ${idOf("web")}`)
    const refusal = await refusalOf(api.workload.api, held.token, signal)
    return [
      `fetched for audience ${audience} in ${(fetched - asked).toFixed(1)} ms, by ${spiffeId}, expires at ${timeOf(claims["exp"])}`,
      `validated by api's agent in ${(validated - fetched).toFixed(1)} ms`,
      `refused there for another audience: ${refusal}`,
    ]
  },
}

/** Why the token is refused for an audience that it was not made for. */
async function refusalOf(api: WorkloadApi, token: string, signal: AbortSignal): Promise<string> {
  try {
    await api.validateJwt(idOf("billing"), token, signal)
  } catch (thrown) {
    const { code, message } = toIdentityError(thrown)
    // Any other code says that nothing was decided: no answer, no bundle, no time.
    if (code !== "malformed") throw thrown
    return `"${message}"`
  }
  throw new Error("a token for another audience was accepted")
}

function timeOf(exp: unknown): string {
  if (typeof exp !== "number") throw new TypeError("the token has no exp")
  return new Date(exp * 1000).toISOString()
}
