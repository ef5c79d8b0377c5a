import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, test } from "node:test"
import { parse } from "yaml"
import { skipWithout } from "../support/peers/peer.ts"
import { askPrometheus, type Scene } from "../support/peers/prometheus.ts"

const RULES = join(import.meta.dirname, "../../deploy/prometheus/assay.rules.yaml")
const DAY = 86_400
/** Eight hours and twenty minutes after the first sample. */
const LOOK = 30_000

/** A sample each minute, for ten hours. */
function scene(at: number, ...lines: readonly string[]): Scene {
  return { at, series: ["load 1m", ...lines.map((line) => `  ${line}`)].join("\n") }
}

const UP = 'up{job="assay-server",instance="a"} 1x600'
function authority(name: "root" | "issuing", notAfter: number, life: number): readonly string[] {
  const labels = `{instance="a",authority="${name}"}`
  return [
    `assay_authority_not_after_seconds${labels} ${notAfter}x600`,
    `assay_authority_lifetime_seconds${labels} ${life}x600`,
  ]
}
/** Everything is well. */
const WELL = [
  UP,
  'assay_ready{instance="a"} 1x600',
  ...authority("root", 400 * DAY, 500 * DAY),
  ...authority("issuing", DAY, DAY),
  'assay_authority_step_failed_total{instance="a",what="jwt-key"} 0x600',
  'assay_authority_step_failed_total{instance="a",what="audit-seal"} 0x600',
  'assay_refused_total{instance="a",kind="x509",code="policy-denied"} 0+60x600',
  'assay_refused_total{instance="a",kind="x509",code="not-ready"} 3x600',
  'assay_issued_total{instance="a",kind="x509"} 0+600x600',
  'assay_issue_seconds_bucket{instance="a",kind="x509",le="0.01"} 0+600x600',
  'assay_issue_seconds_bucket{instance="a",kind="x509",le="+Inf"} 0+600x600',
  'assay_token_review_total{instance="a",cluster="main",outcome="answered"} 0+60x600',
  'assay_bundle_epoch{instance="a"} 7x600',
  'assay_bundle_epoch{instance="b"} 7x600',
  'assay_config_reload_total{instance="a",outcome="adopted"} 0+1x600',
  'assay_publication_behind{instance="a",target="folder"} 0x600',
  'assay_federated_bundle{instance="a",trust_domain="b.example",source="file"} 1x600',
  'assay_federated_bundle{instance="a",trust_domain="b.example",source="kept"} 0x600',
  'assay_federated_bundle{instance="a",trust_domain="b.example",source="none"} 0x600',
  'assay_federated_keep_failure_total{instance="a"} 0x600',
  'assay_consumer_behind{instance="a",kind="sds"} 0x600',
  'assay_consumer_gone{instance="a"} 0x600',
  'assay_rotation_phase_since_seconds{instance="a",kind="x509"} 60x600',
  'assay_rotation_stopped{instance="a",kind="x509"} 0x600',
  'assay_audit_file_failing{instance="a",file="/audit"} 0x600',
  'assay_admin_request_total{instance="a",operation="status.show",outcome="done"} 0+6x600',
  'assay_agent_ready{instance="n"} 1x600',
  `assay_agent_svid_not_after_seconds{instance="n"} ${DAY}x600`,
  'assay_agent_svid_life_left_ratio{instance="n"} 0.45x600',
  'assay_agent_insecure_bootstrap{instance="n"} 0x600',
]
const OUTAGE = 'assay_refused_total{instance="a",kind="x509",code="not-ready"} 0+60x600'
/** What fires each alert, beside a server that answers. */
const WRONG: Readonly<Record<string, readonly string[]>> = {
  AssayNotReady: ['assay_ready{instance="a"} 0x600'],
  AssayRootExpires: authority("root", 29 * DAY, 3650 * DAY),
  AssayIssuingAuthorityExpires: authority("issuing", LOOK + DAY / 4 - 60, DAY),
  AssayAuthorityStepFails: ['assay_authority_step_failed_total{instance="a",what="jwt-key"} 0+1x600'],
  AssayIssuanceFailsFast: [OUTAGE, 'assay_issued_total{instance="a",kind="x509"} 0+600x600'],
  AssayIssuanceFailsSlowly: [OUTAGE, 'assay_issued_total{instance="a",kind="x509"} 0+15000x600'],
  AssayIssuanceSlow: [
    'assay_issue_seconds_bucket{instance="a",kind="x509",le="0.1"} 0+500x600',
    'assay_issue_seconds_bucket{instance="a",kind="x509",le="0.25"} 0+600x600',
    'assay_issue_seconds_bucket{instance="a",kind="x509",le="+Inf"} 0+600x600',
  ],
  AssayTokenReviewFails: ['assay_token_review_total{instance="a",cluster="main",outcome="failed"} 0+1x600'],
  AssayEpochsDiffer: ['assay_bundle_epoch{instance="a"} 7x600', 'assay_bundle_epoch{instance="b"} 8x600'],
  AssayConfigurationRefused: ['assay_config_reload_total{instance="a",outcome="refused"} 0x495 1x105'],
  AssayPublicationBehind: ['assay_publication_behind{instance="a",target="folder"} 1x600'],
  AssayFederatedTrustLost: ['assay_federated_bundle{instance="a",trust_domain="b.example",source="none"} 1x600'],
  AssayFederatedFileBad: ['assay_federated_bundle{instance="a",trust_domain="b.example",source="kept"} 1x600'],
  AssayFederatedNotKept: ['assay_federated_keep_failure_total{instance="a"} 0+1x600'],
  AssayBundleRefused: ['assay_consumer_refusing{instance="a",kind="sds"} 1x600'],
  AssayRotationStopped: ['assay_rotation_stopped{instance="a",kind="x509"} 1x600'],
  AssayRotationStuck: [
    'assay_rotation_phase_since_seconds{instance="a",kind="x509"} 60x600',
    'assay_rotation_phase_since_seconds{instance="a",kind="jwt"} 0x600',
    'assay_consumer_behind{instance="a",kind="sds"} 0x600',
    'assay_consumer_behind{instance="a",kind="file"} 0x600',
    'assay_consumer_gone{instance="a"} 2x600',
  ],
  AssayAuditFileFails: ['assay_audit_file_failing{instance="a",file="/audit"} 1x600'],
  AssayAuditBroken: ['assay_authority_step_failed_total{instance="a",what="audit-seal"} 0+1x600'],
  AssayOperatorsRefused: ['assay_admin_request_total{instance="a",operation="",outcome="unauthenticated"} 0+2x600'],
  AssayLineageViolation: ['assay_lineage_violation_total{instance="a"} 0x490 1x100'],
  AssayAgentNotReady: ['assay_agent_ready{instance="n"} 0x600'],
  AssayAgentSvidExpires: ['assay_agent_svid_life_left_ratio{instance="n"} 0.24x600'],
  AssayAgentInsecure: ['assay_agent_insecure_bootstrap{instance="n"} 1x600'],
}

describe("alerts, as Prometheus reads and evaluates them", { skip: await skipWithout("prometheus") }, () => {
  test("[MET-04] the file is without fault, each alert fires when it should, and none when all is well", async () => {
    const bad = Object.entries(WRONG)
    const scenes = [scene(LOOK, ...WELL), scene(LOOK, "other 1x600"), ...bad.map(([, s]) => scene(LOOK, UP, ...s))]
    const { errors, firing } = await askPrometheus(RULES, scenes)
    assert.deepEqual(errors, [])
    const [well, away, ...wrong] = firing
    assert.deepEqual(well, [])
    assert.deepEqual(away, ["AssayServerAbsent"])
    for (const [index, [alert]] of bad.entries()) assert.ok(wrong[index]?.includes(alert), `${alert} does not fire`)
    const fired = new Set(firing.flat())
    const silent = (await alertsOf(RULES)).filter((alert) => !fired.has(alert))
    assert.deepEqual(silent, [])
  })

  test("[MET-04] authorities that live long or short are told of in time, and none of them always", async () => {
    const lives: readonly (readonly [...Parameters<typeof authority>, alert?: string])[] = [
      ["root", LOOK + 31 * DAY, 3650 * DAY],
      ["root", LOOK + 29 * DAY, 3650 * DAY, "AssayRootExpires"],
      ["root", LOOK + 1.1 * DAY, 12 * DAY],
      ["root", LOOK + 0.9 * DAY, 12 * DAY, "AssayRootExpires"],
      ["issuing", LOOK + 601, 1200],
      ["issuing", LOOK + 301, 1200],
      ["issuing", LOOK + 299, 1200, "AssayIssuingAuthorityExpires"],
      ["issuing", LOOK + 8 * DAY, 30 * DAY],
      ["issuing", LOOK + 7 * DAY, 30 * DAY, "AssayIssuingAuthorityExpires"],
    ]
    const scenes = lives.map(([name, notAfter, life]) => scene(LOOK, UP, ...authority(name, notAfter, life)))
    const { firing } = await askPrometheus(RULES, scenes)
    assert.deepEqual(
      firing,
      lives.map(([, , , alert]) => (alert === undefined ? [] : [alert])),
    )
  })
})

async function alertsOf(file: string): Promise<readonly string[]> {
  const rules: { readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[] } = parse(
    await readFile(file, "utf8"),
  )
  return rules.groups.flatMap((group) => group.rules.map(({ alert }) => alert))
}
