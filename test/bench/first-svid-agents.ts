/**
 * Agents in a process that does nothing else, one after the other. Arguments: where the server is, its trust domain and bundle file, a folder
 * with files `token0`, `token1` and so on, and how many of them come before it counts. Prints the milliseconds that each took from then on.
 */
import { join } from "node:path"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import type { Millis } from "../../src/core/time.ts"
import { runAgent } from "../../src/main/agent.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { quietLog } from "../support/quiet-log.ts"

const FIRST_WITHIN: Millis = 10_000
const [address = "", trustDomain = "", bundleFile = "", folder = "", warmUp = "", pods = ""] = process.argv.slice(2)
const times: Millis[] = []
for (let pod = 0; pod < Number(pods); pod++) {
  const took = await startOne(join(folder, `token${pod}`), join(folder, `agent${pod}.sock`))
  if (pod >= Number(warmUp)) times.push(took)
}
process.stdout.write(`${JSON.stringify({ event: "result", times })}\n`)

async function startOne(tokenFile: string, socket: string): Promise<Millis> {
  const text = JSON.stringify({
    trust_domain: trustDomain,
    server: { address },
    bootstrap: { bundle_file: bundleFile },
    token_file: tokenFile,
    socket: { path: socket },
  })
  const config = parseAgentConfig(text, "agent.yaml")
  const stop = new AbortController()
  const listening = Promise.withResolvers<void>()
  const begun = performance.now()
  const running = runAgent(config, quietLog, stop.signal, listening.resolve)
  try {
    await Promise.race([listening.promise, running])
    using workload = openWorkloadClient(parseWorkloadEndpoint(`unix://${socket}`))
    for await (const { svids } of workload.watchX509(AbortSignal.timeout(FIRST_WITHIN))) {
      if (svids.length > 0) return performance.now() - begun
    }
    throw new Error("the agent ended its stream before there was an SVID")
  } finally {
    stop.abort()
    await running
  }
}
