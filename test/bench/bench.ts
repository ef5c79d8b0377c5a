/**
 * Measures what the design promises and prints each figure with its ratio and its aim, all from one run on one machine.
 * `npm run bench -- --quick --json` is short and prints one JSON object, without what is beside another server or takes a thousand tokens; `--baseline` keeps the
 * run in baseline.json.
 */
import { writeFile } from "node:fs/promises"
import { availableParallelism, cpus } from "node:os"
import { parseArgs } from "node:util"
import type { LoadResult } from "../support/peers/load.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { type BanFigures, measureBans } from "./bans.ts"
import { type FirstSvid, measureFirstSvid } from "./first-svid.ts"
import { measurePipeline, type PipelineRates } from "./pipeline.ts"
import { measurePolicy, type PolicyCosts } from "./policy.ts"
import { describeRatio, type Ratio, ratio, ratioOfRounds } from "./ratio.ts"
import { measureSmallPush, type SmallPush } from "./rotation-push.ts"
import { beside, median, spansOf } from "./rounds.ts"
import { measureSds, type SdsFigures } from "./sds.ts"
import { measureTokens, type TokenRates } from "./tokens.ts"
import { measureWire, type WireRates } from "./wire.ts"

const { values: flags } = parseArgs({
  options: { quick: { type: "boolean" }, json: { type: "boolean" }, baseline: { type: "boolean" } },
})
const say = (line: string) => void (flags.json === true ? process.stderr : process.stdout).write(`${line}\n`)
const isWhole = flags.quick !== true
const seconds = isWhole ? 2 : 0.5
const spans = spansOf(seconds, isWhole ? 5 : 1)
const isBesideSpire = isWhole && (await skipWithout("spire")) === false

say(
  `${spans.length} round(s) of ${seconds} s each; a rate is the median of its rounds, a ratio the median of those in each round`,
)
say("pipeline in process, durable, 64 in flight, beside raw cryptography")
const pipeline = await measurePipeline(spans)
sayRates("  ", {
  "sign, on one core": pipeline.sign,
  "import+verify+sign, on one core": pipeline.issueOneCore,
  "import+verify+sign, on all cores": pipeline.issueAllCores,
  "X.509-SVID": pipeline.x509,
  "JWT-SVID": pipeline.jwt,
  "JWT-SVID, 256 in flight": pipeline.jwtMost,
})
say("IssueX509 and IssueJwt over gRPC and TLS, compiled client on the same machine")
say(
  isBesideSpire
    ? "beside SPIRE's server, by the same client"
    : "without SPIRE's server beside it: it takes Go and a full run",
)
const wire = await measureWire(spans, isBesideSpire)
sayLoads({
  "1 in flight": [wire.one],
  "16 in flight": [wire.sixteen],
  "64 in flight": wire.rounds.sixtyFour,
  "batches of 16": wire.rounds.batch,
  "JWT, 64 in flight": wire.rounds.jwt,
  "SPIRE, 64 in flight": wire.rounds.spireSixtyFour,
  "SPIRE, batches of 16": wire.rounds.spireBatch,
})
say("an agent's start until its workload holds its first SVID, one pod after the other")
const first = isWhole ? await measureFirstSvid(500, 9) : await measureFirstSvid(25, 1)
say(
  `  p50 ${ms(first.p50Ms)}, p99 ${ms(first.p99Ms)} of ${first.pods} pods; ${ms(first.coldMs)} with a process of its own to start`,
)
const tokens = isWhole ? await measureTokenDoor() : undefined
say("a decision over token rules, each with a condition")
const policy = measurePolicy(seconds)
say(
  `  ${micros(policy.rules10)} at 10 rules, ${micros(policy.rules1000)} at 1,000, ${micros(policy.rules10000)} at 10,000`,
)
say("SDS, 10,000 idle streams on 100 TLS connections, then one change of the bundle, then a rotation of the root")
const sds = await measureSds(10_000)
say(`  server's memory at the peak of the push: ${mib(sds.push.peakKib)}`)
const thousand = isWhole ? await measureThousand() : undefined
const ratios = ratiosOf({ pipeline, wire, first, tokens, policy, sds, thousand })
for (const one of ratios) say(describeRatio(one))
if (flags.baseline === true) await keepBaseline(ratios)
if (flags.json === true) process.stdout.write(`${JSON.stringify({ ratios })}\n`)

async function measureTokenDoor(): Promise<TokenRates> {
  say("/token over HTTPS, beside oidc-provider, by the same compiled client")
  const tokens = await measureTokens(spans)
  sayLoads({
    "client_credentials, 1 in flight": [tokens.one],
    "client_credentials, 64 in flight": tokens.rounds.clientCredentials,
    "token exchange, 64 in flight": tokens.rounds.exchange,
    "oidc-provider client_credentials, 64 in flight": tokens.rounds.oidcProvider,
  })
  return tokens
}

async function measureThousand(): Promise<Thousand> {
  say("a rotation of the root, then an emergency, at 1,000 SDS streams with an SVID each")
  const small = await measureSmallPush(1_000)
  say(`  server's memory at the peak of the push: ${mib(small.push.peakKib)}`)
  say("a ban of 1,000 live subscribers, each of which asks for a renewal when its stream ends")
  const bans = await measureBans(1000)
  say(
    `  answered after ${ms(bans.confirmedSeconds * 1000)}, last refusal ${ms(bans.refusedSeconds * 1000)}, the server's processor time ${ms(bans.serverCpuSeconds * 1000)}`,
  )
  return { small, bans }
}

function sayRates(indent: string, rates: Readonly<Record<string, readonly number[]>>): void {
  for (const [name, values] of Object.entries(rates)) say(`${indent}${name}: ${rate(median(values))}`)
}

function sayLoads(loads: Readonly<Record<string, readonly LoadResult[]>>): void {
  for (const [name, results] of Object.entries(loads)) {
    if (results.length === 0) continue
    const middle = (pick: (result: LoadResult) => number) => median(results.map(pick))
    const [p50, p99] = [middle(({ p50Ms }) => p50Ms), middle(({ p99Ms }) => p99Ms)]
    say(`  ${name}: ${rate(middle(({ perSecond }) => perSecond))}, p50 ${ms(p50)}, p99 ${ms(p99)}`)
  }
}

interface Figures {
  readonly pipeline: PipelineRates
  readonly wire: WireRates
  readonly first: FirstSvid
  readonly tokens: TokenRates | undefined
  readonly policy: PolicyCosts
  readonly sds: SdsFigures
  readonly thousand: Thousand | undefined
}

/** With a thousand pods, each of which has a token of its own. */
interface Thousand {
  readonly small: SmallPush
  readonly bans: BanFigures
}

/** The aims of design.md: over gRPC beside SPIRE where it runs, else beside raw cryptography. */
function wireRatios({ pipeline, wire }: Figures): readonly Ratio[] {
  const { sixtyFour, batch, spireSixtyFour } = wire.rounds
  if (spireSixtyFour.length === 0) {
    const raw = median(pipeline.issueOneCore)
    return [
      ratio("issue-x509-64", median(rates(sixtyFour)) / raw, "at least", 0.9, "of raw on one core"),
      ratio("issue-x509-batch", median(rates(batch)) / raw, "at least", 1.4, "of raw on one core"),
    ]
  }
  const single = rates(spireSixtyFour)
  const p99s = beside(
    sixtyFour.map(({ p99Ms }) => p99Ms),
    spireSixtyFour.map(({ p99Ms }) => p99Ms),
  )
  return [
    ratioOfRounds("issue-x509-64", beside(rates(sixtyFour), single), "at least", 2, "times SPIRE's rate"),
    ratioOfRounds("issue-x509-64-p99", p99s, "at most", 1, "of SPIRE's p99"),
    ratioOfRounds(
      "issue-x509-batch",
      beside(rates(batch), single),
      "at least",
      3,
      "times SPIRE's rate of single calls",
    ),
  ]
}

function ratiosOf(figures: Figures): readonly Ratio[] {
  const { pipeline, wire, first, tokens, policy, sds, thousand } = figures
  const ofRaw = beside(pipeline.x509, pipeline.issueAllCores)
  const ofSigning = beside(pipeline.jwtMost, pipeline.sign)
  return [
    ratioOfRounds("pipeline", ofRaw, "at least", 0.6, "of raw import+verify+sign on all cores"),
    ratio("issue-x509-1", wire.one.p99Ms, "at most", 50, "ms, p99 of one call at a time"),
    ratio("first-svid", first.p99Ms, "at most", 50, "ms, p99 from an agent's start to its workload's first SVID"),
    ...wireRatios(figures),
    ratioOfRounds("jwt-svid", ofSigning, "at least", 0.6, "of raw signing on one core, 256 in flight"),
    ...(tokens === undefined ? [] : ratiosOfTokens(tokens)),
    ratio("policy-10000", policy.rules10000 / policy.rules10, "at most", 1.5, "of a decision's cost at 10 rules"),
    ratio("sds-stream-kib", sds.kibPerStream, "at most", 30, "KiB of memory an idle stream"),
    ratio("sds-fanout", sds.fanOutSeconds, "at most", 3, `s until ${sds.streams} streams acknowledged`),
    ratio("rotation-push", sds.push.seconds, "at most", 3, `s until ${sds.streams} streams acknowledged both roots`),
    ratio("rotation-push-kib", sds.pushKibPerStream, "at most", 30, "KiB of memory a stream at the peak of that"),
    ...(thousand === undefined ? [] : ratiosOfThousand(thousand)),
    ratio("rss-server-mib", wire.serverIdleKib / 1024, "at most", 130, "MiB, server at rest"),
    ratio("rss-agent-mib", wire.agentIdleKib / 1024, "at most", 90, "MiB, agent at rest"),
  ]
}

function rates(results: readonly LoadResult[]): readonly number[] {
  return results.map(({ perSecond }) => perSecond)
}

function ratiosOfTokens({ rounds: { clientCredentials, exchange, oidcProvider } }: TokenRates): readonly Ratio[] {
  const besideProvider = (own: readonly LoadResult[]) => beside(rates(own), rates(oidcProvider))
  return [
    ratioOfRounds("client-credentials", besideProvider(clientCredentials), "at least", 1.5, "of oidc-provider's"),
    ratioOfRounds("exchange", besideProvider(exchange), "at least", 1.5, "of oidc-provider's client_credentials"),
  ]
}

function ratiosOfThousand({ small: { streams, push, emergencySeconds }, bans }: Thousand): readonly Ratio[] {
  const [both, refused] = [`${streams} streams with SVIDs acknowledged both roots`, `${bans.subscribers} subscribers`]
  return [
    ratio("rotation-push-1000", push.seconds, "at most", 1, `s until ${both}`),
    ratio("emergency", emergencySeconds, "at most", 5, `s until ${streams} streams trusted a stolen root no more`),
    ratio("ban-propagation", bans.refusedSeconds, "at most", 1, `s until ${refused} were refused`),
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
