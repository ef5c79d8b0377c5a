import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client"

/** What the gauges of an agent show, read when somebody asks. */
export interface AgentFacts {
  readonly ready: boolean
  /** Identities served. */
  readonly identities: number
  /** Epoch of the bundles served; 0 for none. */
  readonly epoch: number
  /** Expiry of the SVID that expires first, Unix time; 0 for none. */
  readonly firstNotAfter: number
  /** The least share of its life that an SVID has left, 0 to 1; 1 for none. */
  readonly leastLifeLeft: number
}

/** Every metric of an agent, in one table. Labels come from closed lists only. */
export function makeAgentMetrics(facts: () => AgentFacts, insecureBootstrap: boolean) {
  const registry = new Registry()
  const registers = [registry]
  const shown = (name: string, help: string, read: (facts: AgentFacts) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(facts()))
      },
    })
  collectDefaultMetrics({ register: registry })
  new Gauge({ name: "assay_agent_insecure_bootstrap", help: "1 when any server is trusted.", registers }).set(
    insecureBootstrap ? 1 : 0,
  )
  shown("assay_agent_ready", "1 while identities are served.", ({ ready }) => (ready ? 1 : 0))
  shown("assay_agent_identities", "Identities served.", ({ identities }) => identities)
  shown("assay_agent_bundle_epoch", "Epoch of the bundles served.", ({ epoch }) => epoch)
  shown(
    "assay_agent_svid_not_after_seconds",
    "First expiry of an SVID, Unix time.",
    ({ firstNotAfter }) => firstNotAfter,
  )
  shown(
    "assay_agent_svid_life_left_ratio",
    "Least share of its life that an SVID has left.",
    ({ leastLifeLeft }) => leastLifeLeft,
  )
  return {
    registry,
    trustProbeFailed: new Counter({
      name: "assay_trust_probe_fail_total",
      help: "Probes that found the root of a rotation not trusted by the bundle.",
      registers,
    }),
    sdsStreams: new Gauge({
      name: "assay_agent_sds_streams",
      help: "Live SDS streams.",
      labelNames: ["door"],
      registers,
    }),
    sdsPushes: new Counter({
      name: "assay_agent_sds_pushed_total",
      help: "Secrets sent to proxies.",
      labelNames: ["door"],
      registers,
    }),
    sdsAnswers: new Counter({
      name: "assay_agent_sds_answer_total",
      help: "Answers of proxies to secrets, by outcome.",
      labelNames: ["door", "outcome"],
      registers,
    }),
  } as const
}
