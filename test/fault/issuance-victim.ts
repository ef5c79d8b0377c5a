import { readFileSync, writeSync } from "node:fs"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { systemClock } from "../../src/adapters/system/clock.ts"
import { makeSystemRandom } from "../../src/adapters/system/random.ts"
import type { AttestTelemetry } from "../../src/app/attest/attest-telemetry.ts"
import { commitThenSign } from "../../src/app/issue/commit-then-sign.ts"
import { loadServerConfig } from "../../src/main/config/server-config.ts"
import { openLiveConfig } from "../../src/main/server/live-config.ts"
import { openPipeline } from "../../src/main/server/pipeline.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { openServerState, type ServerState } from "../../src/main/server/state.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import type { SignGuarded } from "../../src/ports/intent-signer.ts"
import type { IssuanceLog } from "../../src/ports/issuance-log.ts"
import { proveFreshKey } from "../support/identity-peer.ts"
import { quietLog } from "../support/quiet-log.ts"
import { reach } from "./issuance-fault.ts"

/**
 * Issues over the store of a configuration, so many at a time, prints each credential once it has it, and kills itself at a step of
 * the n-th issuance. Arguments: configuration, file with tokens, kind, way, how many at a time. Way `thread` or `beside`: the store's
 * thread commits and signs, the latter together with a second one, and `issuance-fault.ts` kills there; `apart`: the log in one place, the signer in another, as it is for slower keys.
 */
const [configFile = "", tokenFile = "", kind = "", way = "", inFlight = ""] = process.argv.slice(2)
const STDOUT = 1

const config = await loadServerConfig(configFile, makeCelConditions().compile)
const opened = await openServerState(config, await readSealingKey(config, {}), quietLog)
const state = { ...opened, signIntent: way === "apart" ? signApart(opened) : signInThread(opened) }
const verifier = makeJwsVerifier()
const live = await openLiveConfig(config, { verifier, clock: systemClock, log: quietLog })
const events = makeServerEvents(quietLog, makeServerMetrics())
const attest = {
  ...events.attest,
  attested: (...call: Parameters<AttestTelemetry["attested"]>) => {
    reach("after-attest")
    events.attest.attested(...call)
  },
}
const random = makeSystemRandom()
const pipeline = await openPipeline({
  state,
  live: () => live,
  clock: systemClock,
  random,
  events: { ...events, attest },
  refusals: { stream: () => undefined },
})
const tokens = readFileSync(tokenFile, "utf8").trim().split("\n")
await Promise.all(
  Array.from({ length: Number(inFlight) }, (_, lane) => issueForEver(tokens[lane % tokens.length] ?? "")),
)

async function issueForEver(token: string): Promise<never> {
  for (;;) {
    reach("before-attest")
    const credential = await issueOne(token)
    reach("before-reply")
    // Not by way of `process.stdout`: a pipe that it has touched refuses what its reader is too slow for.
    writeSync(STDOUT, `${credential}\n`)
    reach("after-reply")
  }
}

async function issueOne(token: string): Promise<string> {
  const never = new AbortController().signal
  const request = { token, spiffeId: undefined, ttl: undefined, requestId: "victim" }
  if (kind === "jwt") return (await pipeline.issueJwt({ ...request, audience: ["db"] }, never)).token
  const { publicKey, proof } = proveFreshKey(token)
  const { chain } = await pipeline.issueX509({ ...request, key: { kind: "proven-key", publicKey, proof } }, never)
  return chain.map((der) => Buffer.from(der).toString("base64")).join(",")
}

function signInThread({ signIntent }: ServerState): SignGuarded {
  return (order) => {
    reach("before-intent")
    return signIntent(order)
  }
}

function signApart({ store }: ServerState): SignGuarded {
  const log = store.issuanceLog
  const issuanceLog: IssuanceLog = {
    recordIntent: async (...call) => {
      reach("before-intent")
      const recorded = log.recordIntent(...call)
      // The commit begins at the end of this turn of the event loop.
      if (process.env["FATAL_STEP"] === "during-intent") setImmediate(() => setImmediate(() => reach("during-intent")))
      const result = await recorded
      reach("after-intent")
      return result
    },
    recordOutcome: (...call) => {
      reach("after-signature")
      log.recordOutcome(...call)
      reach("after-outcome")
    },
    flush: () => log.flush(),
    findRequester: (serial) => log.findRequester(serial),
    search: (query) => log.search(query),
  }
  return commitThenSign(issuanceLog)
}
