/**
 * Measures what the design promises and prints each figure with its ratio and its aim, all from one run on one machine.
 * `npm run bench -- --quick --json` is short and prints one JSON object; `--baseline` keeps the run in baseline.json.
 */
import { writeFile } from "node:fs/promises"
import { availableParallelism, cpus } from "node:os"
import { parseArgs } from "node:util"
import { type BanFigures, measureBans } from "./bans.ts"
import { type FirstSvid, measureFirstSvid } from "./first-svid.ts"
import { measurePipeline, type PipelineRates } from "./pipeline.ts"
import { measurePolicy, type PolicyCosts } from "./policy.ts"
import { describeRatio, type Ratio, ratio } from "./ratio.ts"
import { measureRaw, type RawRates } from "./raw.ts"
import { measureSmallPush, type SmallPush } from "./rotation-push.ts"
import { measureSds, type SdsFigures } from "./sds.ts"
import { measureSpire, type SpireRates } from "./spire.ts"
import { measureTokens, type TokenRates } from "./tokens.ts"
import { measureWire, type WireRates } from "./wire.ts"

const { values: flags } = parseArgs({
  options: { quick: { type: "boolean" }, json: { type: "boolean" }, baseline: { type: "boolean" } },
})
const say = (line: string) => void (flags.json === true ? process.stderr : process.stdout).write(`${line}\n`)
const seconds = flags.quick === true ? 0.5 : 4

say(`raw cryptography, ${seconds} s each`)
const raw = await measureRaw(seconds)
say(
  `  sign ${rate(raw.sign)}, import+verify+sign ${rate(raw.issueOneCore)} on one core, ${rate(raw.issueAllCores)} on all`,
)
say("pipeline in process, durable, 64 in flight")
const pipeline = await measurePipeline(seconds)
say(`  X.509-SVID ${rate(pipeline.x509)}, JWT-SVID ${rate(pipeline.jwt)}`)
say("IssueX509 and IssueJwt over gRPC and TLS, compiled client on the same machine")
const wire = await measureWire(seconds)
for (const [name, result] of [
  ["1 in flight", wire.one],
  ["16 in flight", wire.sixteen],
  ["64 in flight", wire.sixtyFour],
  ["batches of 16", wire.batch],
  ["JWT, 64 in flight", wire.jwt],
] as const) {
  say(`  ${name}: ${rate(result.perSecond)}, p50 ${ms(result.p50Ms)}, p99 ${ms(result.p99Ms)}`)
}
say("an agent's start until its workload holds its first SVID, one pod after the other")
const first = await measureFirstSvid(flags.quick === true ? 25 : 200)
say(`  p50 ${ms(first.p50Ms)}, p99 ${ms(first.p99Ms)} of ${first.pods} pods`)
const spire = flags.quick === true ? undefined : await besideSpire(wire)
say("/token over HTTPS, beside oidc-provider, by the same compiled client")
const tokens = await measureTokens(seconds)
for (const [name, result] of [
  ["client_credentials, 1 in flight", tokens.one],
  ["client_credentials, 64 in flight", tokens.clientCredentials],
  ["token exchange, 64 in flight", tokens.exchange],
  ["oidc-provider client_credentials, 64 in flight", tokens.oidcProvider],
] as const) {
  say(`  ${name}: ${rate(result.perSecond)}, p50 ${ms(result.p50Ms)}, p99 ${ms(result.p99Ms)}`)
}
say("a decision over token rules, each with a condition")
const policy = measurePolicy(seconds)
say(
  `  ${micros(policy.rules10)} at 10 rules, ${micros(policy.rules1000)} at 1,000, ${micros(policy.rules10000)} at 10,000`,
)
say("a rotation of the root, then an emergency, at 1,000 SDS streams with an SVID each")
const small = await measureSmallPush(1_000)
say(`  server's memory at the peak of the push: ${mib(small.push.peakKib)}`)
say("SDS, 10,000 idle streams on 100 TLS connections, then one change of the bundle, then a rotation of the root")
const sds = await measureSds(10_000)
say(`  server's memory at the peak of the push: ${mib(sds.push.peakKib)}`)
say("a ban of 1,000 live subscribers, each of which asks for a renewal when its stream ends")
const bans = await measureBans(1000)
say(
  `  answered after ${ms(bans.confirmedSeconds * 1000)}, last refusal ${ms(bans.refusedSeconds * 1000)}, the server's processor time ${ms(bans.serverCpuSeconds * 1000)}`,
)
const ratios = ratiosOf({ raw, pipeline, wire, first, spire, tokens, policy, small, sds, bans })
for (const one of ratios) say(describeRatio(one))
if (flags.baseline === true) await keepBaseline(ratios)
if (flags.json === true) process.stdout.write(`${JSON.stringify({ ratios })}\n`)

/** SPIRE's server under the same load; building it the first time takes minutes, so the short run goes without. */
async function besideSpire(own: WireRates): Promise<SpireRates | undefined> {
  say("SPIRE's server beside it, by the same compiled client (built at the first run, about 10 min)")
  const rates = await measureSpire(seconds)
  if (rates === undefined) {
    say("  left out: there is no Go here")
    return undefined
  }
  for (const [name, { perSecond, p50Ms, p99Ms }, of] of [
    ["64 in flight", rates.sixtyFour, own.sixtyFour],
    ["batches of 16", rates.batch, own.batch],
  ] as const) {
    say(`  ${name}: ${rate(perSecond)}, p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}; Assay's p99 ${ms(of.p99Ms)}`)
  }
  return rates
}

interface Figures {
  readonly raw: RawRates
  readonly pipeline: PipelineRates
  readonly wire: WireRates
  readonly first: FirstSvid
  readonly spire: SpireRates | undefined
  readonly tokens: TokenRates
  readonly policy: PolicyCosts
  readonly small: SmallPush
  readonly sds: SdsFigures
  readonly bans: BanFigures
}

/** The aims of design.md: over gRPC beside SPIRE where it runs, else beside raw cryptography. */
function wireRatios({ raw, wire, spire }: Figures): readonly Ratio[] {
  const { sixtyFour, batch } = wire
  if (spire === undefined) {
    return [
      ratio("issue-x509-64", sixtyFour.perSecond / raw.issueOneCore, "at least", 0.9, "of raw on one core"),
      ratio("issue-x509-batch", batch.perSecond / raw.issueOneCore, "at least", 1.4, "of raw on one core"),
    ]
  }
  const single = spire.sixtyFour
  return [
    ratio("issue-x509-64", sixtyFour.perSecond / single.perSecond, "at least", 2, "times SPIRE's rate"),
    ratio("issue-x509-64-p99", sixtyFour.p99Ms / single.p99Ms, "at most", 1, "of SPIRE's p99"),
    ratio("issue-x509-batch", batch.perSecond / single.perSecond, "at least", 3, "times SPIRE's rate of single calls"),
  ]
}

function ratiosOf(figures: Figures): readonly Ratio[] {
  const { raw, pipeline, wire, first, tokens, policy, sds, bans } = figures
  const peer = tokens.oidcProvider.perSecond
  return [
    ratio("pipeline", pipeline.x509 / raw.issueAllCores, "at least", 0.6, "of raw import+verify+sign on all cores"),
    ratio("issue-x509-1", wire.one.p99Ms, "at most", 50, "ms, p99 of one call at a time"),
    ratio("first-svid", first.p99Ms, "at most", 50, "ms, p99 from an agent's start to its workload's first SVID"),
    ...wireRatios(figures),
    ratio("jwt-svid", pipeline.jwt / raw.sign, "at least", 0.6, "of raw signing on one core"),
    ratio("client-credentials", tokens.clientCredentials.perSecond / peer, "at least", 1.5, "of oidc-provider's"),
    ratio("exchange", tokens.exchange.perSecond / peer, "at least", 1.5, "of oidc-provider's client_credentials"),
    ratio("policy-10000", policy.rules10000 / policy.rules10, "at most", 1.5, "of a decision's cost at 10 rules"),
    ratio("sds-stream-kib", sds.kibPerStream, "at most", 30, "KiB of memory an idle stream"),
    ratio("sds-fanout", sds.fanOutSeconds, "at most", 3, `s until ${sds.streams} streams acknowledged`),
    ...rotationRatios(figures),
    ratio("ban-propagation", bans.refusedSeconds, "at most", 1, `s until ${bans.subscribers} subscribers were refused`),
    ratio("rss-server-mib", wire.serverIdleKib / 1024, "at most", 130, "MiB, server at rest"),
    ratio("rss-agent-mib", wire.agentIdleKib / 1024, "at most", 90, "MiB, agent at rest"),
  ]
}

function rotationRatios({ small: { streams, push, emergencySeconds }, sds }: Figures): readonly Ratio[] {
  const both = "acknowledged both roots"
  return [
    ratio("rotation-push", sds.push.seconds, "at most", 3, `s until ${sds.streams} streams ${both}`),
    ratio("rotation-push-1000", push.seconds, "at most", 1, `s until ${streams} streams with SVIDs ${both}`),
    ratio("rotation-push-kib", sds.pushKibPerStream, "at most", 30, "KiB of memory a stream at the peak of that"),
    ratio("emergency", emergencySeconds, "at most", 5, `s until ${streams} streams trusted a stolen root no more`),
  ]
}

async function keepBaseline(ratios: readonly Ratio[]): Promise<void> {
  const hardware = `${availableParallelism()} cores, ${cpus()[0]?.model ?? "unknown"}, Node ${process.versions.node}`
  const record = { date: new Date().toISOString().slice(0, 10), hardware, ratios }
  await writeFile(new URL("baseline.json", import.meta.url), `${JSON.stringify(record, undefined, 2)}\n`)
}

function rate(perSecond: number): string {
  return `${Math.round(perSecond).toLocaleString("en")}/s`
}

function mib(kib: number): string {
  return `${Math.round(kib / 1024)} MiB`
}

function ms(millis: number): string {
  return `${millis.toFixed(1)} ms`
}

function micros(value: number): string {
  return `${value.toFixed(1)} µs`
}
