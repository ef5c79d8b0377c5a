import assert from "node:assert/strict"
import { EventEmitter, once } from "node:events"
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { diffConfigs } from "../../src/main/config/config-diff.ts"
import { parseServerConfig, type ServerConfig } from "../../src/main/config/server-config.ts"
import { type ReloadOutcome, watchServerConfig } from "../../src/main/config/watch-config.ts"
import { watchFolderOf } from "../../src/main/config/watch-folder.ts"
import { readSealingKey } from "../../src/main/server/read-sealing-key.ts"
import { type AdoptConfig, runServer } from "../../src/main/server.ts"
import { IdentityPeer } from "../support/identity-peer.ts"
import { quietLog } from "../support/quiet-log.ts"
import { makeScratch } from "../support/scratch.ts"
import { initTrustDomain } from "../support/server-process.ts"
import { makeServerSetup } from "../support/server-setup.ts"
import { until } from "../support/until.ts"

const { compile } = makeCelConditions()

function configText(rule: string, rest = ""): string {
  return `trust_domain: prod.example
clusters: [{ name: main, issuer: i, audiences: [a], keys: { jwks_file: /x }, token_review: { mode: off } }]
rules: [{ name: ${rule}, spiffe_id: /${rule} }]
${rest}`
}

/** At no moment is there half a file. */
async function replace(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content)
  await rename(`${file}.new`, file)
}

/** A watch over `file`, with what it adopted and how each look at a change ended. */
function startWatch(
  file: string,
  text: string,
  adopt: (config: ServerConfig) => Promise<void> = () => Promise.resolve(),
) {
  const adopted: string[] = []
  const outcomes: ReloadOutcome[] = []
  const hangups = new EventEmitter()
  const stop = new AbortController()
  const current = parseServerConfig(text, file, compile)
  const deps = {
    file,
    current,
    compile,
    log: quietLog,
    hangups,
    onOutcome: (outcome: ReloadOutcome) => outcomes.push(outcome),
    adopt: async (config: ServerConfig) => {
      await adopt(config)
      adopted.push(config.rules.rules[0]?.spec.name ?? "")
    },
  }
  const done = watchServerConfig(deps, stop.signal)
  return {
    adopted,
    outcomes,
    hangup: () => hangups.emit("SIGHUP"),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await done
      assert.equal(hangups.listenerCount("SIGHUP"), 0)
    },
  }
}

test("[CFG-14] a file that is replaced is adopted, and one that stays is not adopted again", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, configText("one"))
  await using watch = startWatch(file, configText("one"))
  await replace(file, configText("two"))
  await until("the second rule is adopted", () => watch.adopted.includes("two"))
  await replace(file, configText("three"))
  await until("the third rule is adopted", () => watch.adopted.includes("three"))
  assert.deepEqual(watch.adopted, ["two", "three"])
  assert.deepEqual(watch.outcomes, ["adopted", "adopted"])
})

test("[CFG-14] the symlink swap of a ConfigMap is adopted", async () => {
  await using scratch = await makeScratch()
  const version = async (name: string, rule: string) => {
    await mkdir(scratch.path(name))
    await writeFile(join(scratch.path(name), "assay.yaml"), configText(rule))
    await symlink(name, scratch.path("..data_tmp"))
    await rename(scratch.path("..data_tmp"), scratch.path("..data"))
  }
  await version("..1", "one")
  const file = scratch.path("assay.yaml")
  await symlink("..data/assay.yaml", file)
  await using watch = startWatch(file, configText("one"))
  await version("..2", "two")
  await until("the second version is adopted", () => watch.adopted.includes("two"))
})

test("[CFG-14] SIGHUP has the file read again", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, "rules: 1")
  await using watch = startWatch(file, configText("one"))
  await until("the first look ended", () => watch.outcomes.length === 1)
  watch.hangup()
  await until("it was looked at again", () => watch.outcomes.length === 2)
  assert.deepEqual(watch.outcomes, ["refused", "refused"])
})

test("[CFG-16] what cannot be put into force yet is tried again without a change of the file, and said once", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, configText("two"))
  let tries = 0
  await using watch = startWatch(file, configText("one"), async () => {
    if (++tries < 3) throw new Error("kubeconfig is not there")
  })
  await until("the first try", () => watch.outcomes.length === 1)
  // Something changes beside the file, as a secret that arrives; else it would be looked at after 10 s.
  await writeFile(scratch.path("other"), "1")
  await until("the second try", () => tries === 2)
  await writeFile(scratch.path("other"), "2")
  await until("it is adopted", () => watch.adopted.length === 1)
  assert.deepEqual(watch.outcomes, ["refused", "adopted"])
})

test("[CFG-15] a change that needs a restart is not adopted, nor anything beside it", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, configText("two", "x509: { ttl: 30m }"))
  await using watch = startWatch(file, configText("one"))
  await until("the first look ended", () => watch.outcomes.length === 1)
  assert.deepEqual([watch.outcomes, watch.adopted], [["needs-restart"], []])
  await replace(file, configText("two", "limits: { identity_rate: 3/s, streams_per_connection: 7 }"))
  await until("the second look ended", () => watch.outcomes.length === 2)
  assert.deepEqual([watch.outcomes.at(-1), watch.adopted], ["needs-restart", []])
  await replace(file, configText("two", "limits: { identity_rate: 3/s }\nlog: { level: debug }"))
  await until("what can be reloaded is adopted", () => watch.adopted.length === 1)
})

test("[CFG-15] of all limits, those that a listener is told when it begins need a restart, and no other", () => {
  const before = parseServerConfig(configText("one"), "assay.yaml", compile)
  const diffs = Object.entries(before.limits).map(([key, value]) =>
    diffConfigs(before, { ...before, limits: { ...before.limits, [key]: value + 1 } }),
  )
  assert.equal(diffs.length, Object.keys(before.limits).length)
  assert.deepEqual(
    diffs.flatMap(({ needsRestart }) => needsRestart),
    ["limits.message_size", "limits.header_size", "limits.streams_per_connection"],
  )
  assert.equal(diffs.flatMap(({ reloadable }) => reloadable).length, diffs.length - 3)
})

test("[CFG-15] of the token endpoint, its addresses and what is published elsewhere need a restart, and nothing else", () => {
  const parse = (oauth: string) => parseServerConfig(`${configText("one")}\noauth: ${oauth}\n`, "assay.yaml", compile)
  const before = parse("{ issuer: https://a.example }")
  const diff = (rest: string) => diffConfigs(before, parse(`{ issuer: https://a.example, ${rest} }`))
  assert.deepEqual(diff("endpoints: https://b.example").needsRestart, ["oauth.endpoints"])
  assert.deepEqual(diff("publish: [{ directory: x }]").needsRestart, ["oauth.publish"])
  assert.deepEqual(diff("dpop_nonce: off"), { reloadable: ["oauth.dpop_nonce"], needsRestart: [] })
  assert.deepEqual(diffConfigs(before, parse("{ issuer: https://b.example }")).needsRestart, ["oauth.issuer"])
})

test("[CFG-16] an invalid or missing file keeps the last good configuration", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, configText("two").replace("/two", "/{{nope}}"))
  await using watch = startWatch(file, configText("one"))
  await until("the invalid file is refused", () => watch.outcomes.length === 1)
  await rm(file)
  await until("the missing file is refused", () => watch.outcomes.length === 2)
  assert.deepEqual([watch.outcomes, watch.adopted], [["refused", "refused"], []])
  await replace(file, configText("three"))
  await until("the good file is adopted", () => watch.adopted.includes("three"))
})

test("[CFG-16] a configuration that cannot be put into force counts as refused, and SIGHUP tries it again", async () => {
  await using scratch = await makeScratch()
  const file = scratch.path("assay.yaml")
  await writeFile(file, configText("two"))
  let broken = true
  const adopt = () => (broken ? Promise.reject(new Error("cluster cannot be opened")) : Promise.resolve())
  await using watch = startWatch(file, configText("one"), adopt)
  await until("it is refused", () => watch.outcomes.length === 1)
  broken = false
  watch.hangup()
  await until("it is adopted", () => watch.adopted.includes("two"))
  assert.deepEqual(watch.outcomes, ["refused", "adopted"])
})

test("[CFG-16] a server keeps its clusters when one of the new configuration cannot be opened", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const { roots } = await initTrustDomain(setup)
  const config = setup.parse({})
  const sealingKey = await readSealingKey(config, {})
  const stop = new AbortController()
  const started = Promise.withResolvers<{ adopt: AdoptConfig; address: string }>()
  const adopter = Promise.withResolvers<AdoptConfig>()
  const running = runServer(
    {
      config,
      sealingKey,
      log: quietLog,
      watch: async (adopt, _, signal) => {
        adopter.resolve(adopt)
        await once(signal, "abort")
      },
      listening: ({ grpc }) => {
        adopter.promise.then((adopt) => started.resolve({ adopt, address: `127.0.0.1:${grpc}` }), started.reject)
      },
    },
    stop.signal,
  )
  running.catch(started.reject)
  try {
    const { adopt, address } = await started.promise
    const cluster = { name: "other", issuer: "i", audiences: ["a"], keys: { kubeconfig: scratch.path("none") } }
    const broken = setup.parse({ clusters: [cluster] })
    await assert.rejects(adopt(broken), { code: "not-ready", reason: "file-unreadable" })
    using peer = new IdentityPeer({ address, roots })
    const token = setup.token()
    assert.equal((await peer.jwt({ audience: ["db"] }, token)).spiffeId, "spiffe://prod.example/ns/shop/sa/web")
  } finally {
    stop.abort()
    await running
  }
})

test("[CFG-22] a folder in which a store writes tells of its first change alone, until it is watched anew", async () => {
  await using scratch = await makeScratch()
  const told: string[] = []
  const write = (name: string) => writeFile(scratch.path(name), "content")
  watchFolderOf(scratch.path("assay.yaml"), () => told.push("first"))
  await write("assay.db")
  await until("the first is told", () => told.includes("first"))
  // In the same order for both: what the one hears, the other would have heard.
  watchFolderOf(scratch.path("assay.yaml"), () => told.push("second"))
  await write("assay.db-wal")
  await until("the second is told", () => told.includes("second"))
  assert.deepEqual(told, ["first", "second"])
})
