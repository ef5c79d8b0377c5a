import assert from "node:assert/strict"
import { readdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { readAuthority } from "../../src/adapters/sqlite/read-authority.ts"
import { ownBundle } from "../../src/app/authority/trust-state.ts"
import { isPublished } from "../../src/core/authority/authority-roles.ts"
import type { RotationKind } from "../../src/core/authority/rotation-state.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import type { AuthorityRecord } from "../../src/ports/authority-journal.ts"
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts"
import { Child } from "../support/peers/child.ts"
import { freePort } from "../support/peers/free-port.ts"
import { type Ended, runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain, type ServerProcess, startServerProcess } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"
import { WatchedWorkload } from "../support/watched-workload.ts"

export type Way = "lost" | "kept"

/** One store that a row of server processes opens, most of which do not live long. */
export interface RotationBench extends AsyncDisposable {
  readonly configFile: string
  /** What the journal says, with no server needed. */
  record(): AuthorityRecord
  phase(): string
  /** Names of the root keys, or of the JWT keys, on disk. */
  keys(of: "root" | "jwt"): Promise<readonly string[]>
  /** Pods of consumers that are written down. */
  consumerPods(): readonly string[]
  /** A server that dies at the write into `phase`. `act`: run once it listens. Resolves when it is dead; what `act` returned. */
  runVictim(phase: string, way: Way, act?: () => Promise<Ended>): Promise<Ended | undefined>
  startServer(): Promise<ServerProcess>
  addAgent(name: string): Promise<{ readonly agent: AgentProcess; readonly workload: WatchedWorkload }>
  /** `assay rotation …` against the server that runs. */
  rotation(...args: readonly string[]): Promise<Ended>
}

export async function openRotationBench(svidTtl: string, kind: RotationKind = "x509"): Promise<RotationBench> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(await makeScratch("rotation"))
  const port = await freePort()
  const setup = await makeServerSetup(scratch.directory, {
    listen: { grpc: `127.0.0.1:${port}`, health: "127.0.0.1:0" },
    x509: { ttl: svidTtl },
    jwt: { publish_ahead: "1s" },
    rotation: { skew: "1s", wave_share: "100%", wave_interval: "1s", canary: { soak: "1s" } },
    drain: { timeout: "1s" },
  })
  await initTrustDomain(setup)
  const database = scratch.path("assay.db")
  const record = () => readAuthority(database) ?? assert.fail("the trust domain is gone")
  const open = stack.move()
  // As whoever hands out the first bundle keeps it current: an agent may be away for longer than what it holds lives.
  const bundleFile = scratch.path("bundle.pem")
  const writeBundle = () => {
    const { x509Authorities } = ownBundle(record())
    return writeFile(bundleFile, x509Authorities.map((der) => encodePem("CERTIFICATE", der)).join(""))
  }
  await writeBundle()
  return {
    configFile: setup.configFile,
    record,
    phase: () => record().rotations[kind].phase,
    keys: async (of) => (await readdir(scratch.path("keys"))).filter((name) => name.startsWith(`${of}-`)).map(keyName),
    consumerPods: () => readPods(database),
    runVictim: async (phase, way, act) => {
      endLease(database)
      const fault = `${new URL("./rotation-fault.ts", import.meta.url).href}?phase=${phase}&way=${way}&kind=${kind}`
      const args = ["--import", fault, CLI, "server", "--config", setup.configFile]
      const log = scratch.path(`victim-${phase}-${way}.log`)
      await using child = new Child({ name: `victim ${phase} ${way}`, command: process.execPath, args, log })
      if (act !== undefined) await until("listening", () => child.logTail(LOG).includes('"server listens"'), READY)
      const acted = await act?.()
      const ended = await child.ended(DEATH).catch(async (cause: unknown) => {
        const { out, err } = await runAssay(["rotation", "status", "--kind", kind, "-c", setup.configFile])
        throw new Error(`it never came to be ${phase}\n${out}${err}${child.logTail()}`, { cause })
      })
      assert.equal(ended, undefined, `the victim ended by itself\n${child.logTail()}`)
      await writeBundle()
      return acted
    },
    startServer: async () => {
      endLease(database)
      return startServerProcess(setup)
    },
    addAgent: async (name) => {
      const { trustDomain } = setup
      const token = setup.token({ serviceAccount: name })
      await writeBundle()
      const terms = { name, folder: scratch.path(name), trustDomain, server: `127.0.0.1:${port}`, bundleFile, token }
      const agent = open.use(await startAgentProcess(terms))
      const workload = open.use(new WatchedWorkload(agent.socket))
      await workload.renewed(0, READY)
      return { agent, workload }
    },
    rotation: (...args) => runAssay(["rotation", ...args, "--kind", kind, "-c", setup.configFile]),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** What must hold of a record whenever a process ends. */
export async function demandSound(bench: RotationBench, before: AuthorityRecord): Promise<void> {
  const { roots, jwtKeys, epoch, revision, trustDomain, incarnation } = bench.record()
  assert.deepEqual([trustDomain, incarnation], [before.trustDomain, before.incarnation])
  assert.equal(roots.filter(({ state }) => state === "active").length, 1, "not one active root")
  assert.ok(epoch >= before.epoch && revision >= before.revision, "the record went back")
  const signing = jwtKeys.filter(({ state }) => state === "active")
  assert.ok(jwtKeys.length === 0 || signing.length === 1, "not one JWT key that signs")
  const keys = [...(await bench.keys("root")), ...(await bench.keys("jwt"))]
  for (const { keyId, state } of roots) {
    if (isPublished(state) || state === "prepared") assert.ok(keys.includes(keyId), `the ${state} root has no key`)
  }
  for (const { keyId } of signing) assert.ok(keys.includes(keyId), "the JWT key that signs is gone")
}

/** Another process would wait for it for ten seconds; that it does is tested elsewhere. @see ROT-36 */
function endLease(database: string): void {
  using db = new DatabaseSync(database, { timeout: 10_000 })
  db.exec(`UPDATE authority SET record = json_set(record, '$.controller.until', 0)
WHERE json_extract(record, '$.controller') IS NOT NULL`)
}

function readPods(database: string): readonly string[] {
  using db = new DatabaseSync(database, { readOnly: true, timeout: 10_000 })
  return db
    .prepare("SELECT DISTINCT pod FROM consumer ORDER BY pod")
    .all()
    .map((row) => String(row["pod"]))
}

function keyName(file: string): string {
  return file.replace(".sealed", "")
}

const CLI = join(import.meta.dirname, "../../src/main/cli.ts")
const READY = 90_000
const LOG = 4 * 1024 * 1024
/** An SVID's life, twice: what is waited for may have to be renewed once in vain. */
const DEATH = 180_000
