import assert from "node:assert/strict"
import { mkdir, rm, writeFile } from "node:fs/promises"
import { test } from "node:test"
import { openWorkloadClient } from "../../src/adapters/workload-client/workload-client.ts"
import type { TrustBundle } from "../../src/core/spiffe/bundle.ts"
import { encodeBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseWorkloadEndpoint } from "../../src/core/spiffe/endpoint.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts"
import { type JwtKey, makeJwtKey } from "../support/jwt-key.ts"
import { showLogsOnFailure } from "../support/peers/child.ts"
import { freePort } from "../support/peers/free-port.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { SdsClient } from "../support/sds-client.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const PARTNER = "partner.example"
const NAMES = ["ALL", `spiffe://${PARTNER}`]

test("[TD-13][TD-15][TD-18] a server killed and started over a bad file: workloads and proxies still get the foreign bundle, until it is taken out", {
  timeout: 300_000,
}, async (t) => {
  await using scratch = await makeScratch("federation")
  const file = scratch.path("partner.json")
  const federation = [{ trust_domain: PARTNER, bundle_file: file }]
  const listen = { grpc: `127.0.0.1:${await freePort()}`, health: "127.0.0.1:0" }
  const rules = [{ name: "all", spiffe_id: "/{{service_account}}", federates_with: [PARTNER] }]
  const setup = await makeServerSetup(scratch.directory, { listen, rules, federation })
  const { bundleFile } = await initTrustDomain(setup)
  const key = makeJwtKey()
  const first = bundleOf(1, [key.authority])
  await writeFile(file, encodeBundle(first))

  await using stack = new AsyncDisposableStack()
  let server: ServerProcess = await startServerProcess(setup)
  stack.defer(() => server[Symbol.asyncDispose]())
  const restart = async () => {
    server.signal("SIGKILL")
    await server[Symbol.asyncDispose]()
    server = await startServerProcess(setup)
  }
  let agents = 0
  /** An agent without a past: whatever it has, the server of now has given it. */
  const addAgent = async (): Promise<AgentProcess> => {
    const name = `web-${agents++}`
    const terms = { name, folder: scratch.path(name), trustDomain: setup.trustDomain, server: listen.grpc, bundleFile }
    const agent = stack.use(await startAgentProcess({ ...terms, token: setup.token({ serviceAccount: name }) }))
    showLogsOnFailure(t, agent)
    return agent
  }

  const early = await addAgent()
  assert.deepEqual(await foreignRoots(early), [rootOf(first)])
  for (const spoil of SPOILS) {
    await rm(file, { recursive: true, force: true })
    await spoil(file)
    await restart()
    for (const agent of [early, await addAgent()]) {
      assert.deepEqual(await foreignRoots(agent), [rootOf(first)])
      assert.deepEqual(await foreignSecrets(agent, rootOf(first)), NAMES)
      assert.equal(await validate(agent, key), `spiffe://${PARTNER}/app`)
    }
  }
  assert.match(server.log(), /the last good one before this start is in force/)
  const metrics = await (await fetch(`${server.healthUrl}/metrics`)).text()
  assert.match(metrics, /^assay_federated_bundle\{trust_domain="partner.example",source="kept"\} 1$/m)
  const status = await runAssay(["status", "-c", setup.configFile, "-o", "json"])
  const [shown]: readonly Record<string, unknown>[] = JSON.parse(status.out).federation
  assert.deepEqual([shown?.["in_force"], shown?.["stored"], shown?.["sequence"]], ["kept", true, 1])
  const table = await runAssay(["status", "-c", setup.configFile])
  assert.match(table.out, /partner\.example +kept +1 X\.509, 1 JWT +1 +/)
  const doctor = await runAssay(["doctor", "-c", setup.configFile])
  assert.match(doctor.out, /partner\.example: .*; the last good bundle is in force/)
  assert.notEqual(doctor.code, 0)

  // Well again, with another root: the file wins over what is kept.
  const second = bundleOf(2, [])
  await rm(file, { recursive: true, force: true })
  await writeFile(file, encodeBundle(second))
  await until("the new root", async () => (await foreignRoots(early))[0] === rootOf(second))
  await until("its log", () => server.log().includes("the file of a federated bundle is well again"))

  // Taken out of the configuration while no server runs, and back in while its file is bad: it is not trusted.
  await setup.write({ listen, rules: [{ name: "all", spiffe_id: "/{{service_account}}" }] })
  await restart()
  await rm(file)
  await setup.write({ listen, rules, federation })
  await restart()
  assert.deepEqual(await foreignRoots(await addAgent()), [])
  const records = await runAssay([
    "audit",
    "search",
    "-c",
    setup.configFile,
    "--type",
    "federation.forgotten",
    "-o",
    "json",
  ])
  assert.match(records.out, /not-configured/)
})

/** Ways in which a file is bad. Nothing is there at first. */
const SPOILS: readonly ((file: string) => Promise<unknown>)[] = [
  (file) => writeFile(file, '{"keys":[{'),
  async () => undefined,
  (file) => mkdir(file),
]

function bundleOf(sequence: number, jwtAuthorities: TrustBundle["jwtAuthorities"]): TrustBundle {
  return { ...makeTestCa({ trustDomain: PARTNER }).bundle, sequence, jwtAuthorities, refreshHint: 300 }
}

/** PEM of the first root. */
function rootOf({ x509Authorities: [root = new Uint8Array()] }: TrustBundle): string {
  return encodePem("CERTIFICATE", root)
}

/** PEM of the partner's roots, by the Workload API. */
async function foreignRoots({ socket }: AgentProcess): Promise<readonly string[]> {
  using api = openWorkloadClient(parseWorkloadEndpoint(`unix://${socket}`))
  const stop = new AbortController()
  for await (const { federated } of api.watchX509(stop.signal)) {
    stop.abort()
    return (federated.get(`spiffe://${PARTNER}`) ?? []).map((der) => encodePem("CERTIFICATE", der))
  }
  return assert.fail("the stream ended")
}

/** Of {@link NAMES}, those by which SDS gives a context with this root. */
async function foreignSecrets({ socket }: AgentProcess, root: string): Promise<readonly string[]> {
  using client = new SdsClient(`unix://${socket}`)
  client.ask(NAMES, { node: { id: "proxy", cluster: "c" } })
  const { resources } = await client.response(1)
  const found = resources.filter(({ value }) => Buffer.from(value).includes(root))
  return NAMES.filter((name) => found.some(({ value }) => Buffer.from(value).includes(name)))
}

/** Who a token of the partner is of, by the agent's word. */
async function validate({ socket }: AgentProcess, key: JwtKey): Promise<string> {
  using api = openWorkloadClient(parseWorkloadEndpoint(`unix://${socket}`))
  const exp = Math.floor(Date.now() / 1000) + 60
  const token = key.token({ sub: `spiffe://${PARTNER}/app`, aud: ["shop"], exp }, { typ: "JWT" })
  return (await api.validateJwt("shop", token, new AbortController().signal)).spiffeId
}
