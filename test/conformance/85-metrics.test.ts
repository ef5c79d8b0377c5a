import assert from "node:assert/strict"
import { test } from "node:test"
import type { Registry } from "prom-client"
import { makeAgentMetrics } from "../../src/adapters/metrics/agent-registry.ts"
import { makeServerMetrics } from "../../src/adapters/metrics/registry.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { agentFacts } from "../../src/main/agent-metrics.ts"
import { measureAuthorities } from "../../src/main/server/authority-metrics.ts"
import { measureConsumers } from "../../src/main/server/consumer-metrics.ts"
import { ROOT_BACKDATE } from "../../src/main/server/state.ts"
import { makeServerEvents } from "../../src/main/server-events.ts"
import type { Log } from "../../src/ports/telemetry.ts"
import { fakeSvid, fakeView } from "../support/fake-view.ts"
import { proveFreshKey } from "../support/identity-peer.ts"
import { jwtRequest, NEVER, openIssueFixture, x509Request } from "../support/issue-fixture.ts"
import { projectFiles } from "../support/project-files.ts"
import { openPipelineUnderTest } from "../support/server-under-test.ts"

const FACTS = { ready: false, identities: 0, epoch: 0, firstNotAfter: 0, leastLifeLeft: 1 }
const REGISTRIES: readonly (readonly [name: string, heading: string, registry: Registry])[] = [
  ["server", "## Server", makeServerMetrics().registry],
  ["agent", "## Agent", makeAgentMetrics(() => FACTS, false).registry],
]

for (const [name, heading, registry] of REGISTRIES) {
  test(`[MET-01] the chapter lists every metric of the ${name} with its type and labels, and no other`, () => {
    assert.deepEqual(listedUnder(heading), metricsOf(registry))
  })
}

test("[MET-02] no label comes from what a caller sent", async () => {
  await using server = await openPipelineUnderTest()
  const { pipeline, setup, metrics } = server
  const claims = { iss: "https://canary.example", aud: ["canary"], sub: "canary" }
  for (const token of ["canary", setup.cluster.signToken(claims), `${setup.token()}canary`]) {
    const request = { token, spiffeId: undefined, ttl: undefined, requestId: "canary", audience: ["canary"] }
    await assert.rejects(pipeline.issueJwt(request, NEVER), IdentityError)
  }
  const text = await metrics.registry.metrics()
  assert.match(text, /^assay_refused_total\{kind="jwt",code="unauthenticated"\} 3$/m)
  assert.match(text, /^assay_attestation_total\{cluster="",outcome="unauthenticated"\} 3$/m)
  assert.equal(text.includes("canary"), false)
})

test("[MET-03] an issuance is counted and timed once", async () => {
  await using server = await openPipelineUnderTest()
  const token = server.setup.token()
  const { publicKey, proof } = proveFreshKey(token)
  const request = { token, spiffeId: undefined, ttl: undefined, requestId: "r" }
  const key = { kind: "proven-key", publicKey, proof } as const
  await server.pipeline.issueX509({ ...request, key }, NEVER)
  await server.pipeline.issueJwt({ ...request, audience: ["db"] }, NEVER)
  const text = await server.metrics.registry.metrics()
  for (const kind of ["x509", "jwt"]) {
    assert.match(text, new RegExp(`^assay_issued_total\\{kind="${kind}"\\} 1$`, "m"))
    assert.match(text, new RegExp(`^assay_issue_seconds_count\\{kind="${kind}"\\} 1$`, "m"))
  }
  assert.match(text, /^assay_attestation_total\{cluster="main",outcome="checked"\} 1$/m)
  assert.match(text, /^assay_attestation_total\{cluster="main",outcome="remembered"\} 1$/m)
  assert.match(text, /^assay_authority_not_after_seconds\{authority="issuing"\} \d+$/m)
  assert.match(
    text,
    new RegExp(`^assay_authority_lifetime_seconds\\{authority="issuing"\\} ${server.live().config.issuing.ttl}$`, "m"),
  )
})

test("[MET-03] a request that fails after it was decided is counted and told once, whatever it fails for", async () => {
  const fixture = await openIssueFixture()
  const failures = async (issue: () => Promise<unknown>) => {
    fixture.steps.length = 0
    await assert.rejects(issue())
    return fixture.steps.filter((step) => step.startsWith("refused"))
  }
  const x509 = () => fixture.issueX509(x509Request(), NEVER)
  const jwt = () => fixture.issueJwt(jwtRequest(), NEVER)
  fixture.store.onWrite = (kind) => (kind === "intent" ? "lost" : "none")
  assert.deepEqual([await failures(x509), await failures(jwt)], [["refused not-ready"], ["refused not-ready"]])
  fixture.store.onWrite = () => "none"
  fixture.onSign = () => {
    throw new RangeError("a bug")
  }
  assert.deepEqual([await failures(x509), await failures(jwt)], [["refused internal"], ["refused internal"]])
  fixture.onSign = () => undefined
  assert.deepEqual(await failures(() => fixture.issueX509(x509Request({ token: "expired" }), NEVER)), [
    "refused unauthenticated",
  ])
})

test("[MET-06] what alerts take the growth or the sum of is there from the start, at 0", async () => {
  await using server = await openPipelineUnderTest()
  measureConsumers(server.metrics, server.pipeline)
  const text = await server.metrics.registry.metrics()
  const series = [
    ...["x509", "jwt", "access-token"].map((kind) => `assay_issued_total{kind="${kind}"}`),
    ...["issuing-authority", "audit-seal"].map((what) => `assay_authority_step_failed_total{what="${what}"}`),
    ...["adopted", "refused", "needs-restart"].map((outcome) => `assay_config_reload_total{outcome="${outcome}"}`),
    ...["sds", "workload-api", "file", "agent"].flatMap((kind) => [
      `assay_consumer_behind{kind="${kind}"}`,
      `assay_consumer_refusing{kind="${kind}"}`,
    ]),
    "assay_lineage_violation_total",
  ]
  const lines = text.split("\n")
  assert.deepEqual(
    series.filter((one) => !lines.includes(`${one} 0`)),
    [],
  )
})

test("[MET-04] an agent says how much of its life the SVID has left that has least, however long they live", () => {
  const factsAt = (now: number) => {
    const svids = [
      fakeSvid("spiffe://prod.example/day", { notAfter: 200_000, life: 86_400 }),
      fakeSvid("spiffe://prod.example/minutes", { notAfter: 180_000, life: 120 }),
    ]
    return agentFacts({ kind: "ready", view: fakeView({ svids }) }, now)
  }
  assert.deepEqual(
    [factsAt(179_910).leastLifeLeft, factsAt(179_910).firstNotAfter],
    [(200_000 - 179_910) / 86_400, 180_000],
  )
  assert.equal(factsAt(179_985).leastLifeLeft, 15 / 120)
  assert.equal(factsAt(0).leastLifeLeft, 1)
  assert.equal(factsAt(200_001).leastLifeLeft, 0)
  assert.equal(agentFacts({ kind: "waiting", error: new IdentityError("not-ready", "x") }, 0).leastLifeLeft, 1)
})

test("[MET-05] a scrape says how long the root lives, and where a rotation stands", async () => {
  await using server = await openPipelineUnderTest()
  const { trust } = server.pipeline
  const scraped = async () => {
    measureAuthorities(server.metrics, trust)
    return server.metrics.registry.metrics()
  }
  const stable = await scraped()
  const [root] = trust.record().roots
  assert.match(stable, new RegExp(`^assay_authority_not_after_seconds\\{authority="root"\\} ${root?.notAfter}$`, "m"))
  const { ttl } = server.live().config.root
  assert.match(
    stable,
    new RegExp(`^assay_authority_lifetime_seconds\\{authority="root"\\} ${ttl + ROOT_BACKDATE}$`, "m"),
  )
  assert.match(stable, /^assay_rotation_phase\{kind="x509",phase="stable"\} 1$/m)
  assert.match(stable, /^assay_rotation_phase_since_seconds\{kind="x509"\} 0$/m)
  const begun = {
    id: "r-1",
    old: "old",
    keyId: "k",
    startedAt: 5,
    since: 7,
    auto: true,
    stopped: "nack",
    paused: false,
  }
  const planned = {
    ...begun,
    phase: "planned",
    emergency: false,
    canary: { namespaces: [], prefixes: [] },
    waivers: [],
  } as const
  await trust.update((record) => ({ ...record, rotations: { ...record.rotations, x509: planned } }))
  const stopped = await scraped()
  assert.match(stopped, /^assay_rotation_phase\{kind="x509",phase="planned"\} 1$/m)
  assert.equal(stopped.includes('kind="x509",phase="stable"'), false)
  assert.match(stopped, /^assay_rotation_phase_since_seconds\{kind="x509"\} 7$/m)
  assert.match(stopped, /^assay_rotation_stopped\{kind="x509"\} 1$/m)
})

test("[MET-03] a refusal is one count and one record: a bug as an error, all else as information", () => {
  const lines: string[] = []
  const note = (level: string) => () => void lines.push(level)
  const log: Log = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") }
  const { issue } = makeServerEvents(log, makeServerMetrics())
  issue.refused("x509", "r", new IdentityError("no-identity", "no"))
  issue.refused("x509", "r", new IdentityError("internal", "no"))
  assert.deepEqual(lines, ["info", "error"])
})

/** `name type label label`, sorted. */
function metricsOf(registry: Registry): readonly string[] {
  const own = registry.getMetricsAsArray().filter(({ name }) => name.startsWith("assay_"))
  return own
    .map((metric) => {
      const labels = "labelNames" in metric && Array.isArray(metric.labelNames) ? metric.labelNames : []
      return [metric.name, metric.constructor.name.toLowerCase(), ...labels].join(" ")
    })
    .sort()
}

function listedUnder(heading: string): readonly string[] {
  const chapter = projectFiles("spec/85-metrics.md")[0]?.text ?? ""
  const [section = ""] = chapter.slice(chapter.indexOf(heading) + heading.length).split("\n## ")
  return [...section.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*)\|/gm)]
    .map(([, name, type, labels = ""]) => [name, type, ...(labels.match(/\w+/g) ?? [])].join(" "))
    .sort()
}
