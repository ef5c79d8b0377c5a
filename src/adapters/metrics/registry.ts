import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client"

/** Every metric of a server, in one table; `spec/85-metrics.md` is checked against it. Labels come from closed lists only. */
export function makeServerMetrics() {
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter<Label>({ name, help, labelNames, registers })
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge<Label>({ name, help, labelNames, registers })
  collectDefaultMetrics({ register: registry })
  const metrics = {
    registry,
    issued: counter("assay_issued_total", "Credentials issued, by kind.", ["kind"]),
    refused: counter("assay_refused_total", "Requests for a credential that were refused, by kind and error code.", [
      "kind",
      "code",
    ]),
    lineageViolations: counter(
      "assay_lineage_violation_total",
      "Incidents: a certificate was renewed by somebody who is not its holder.",
      [],
    ),
    issueSeconds: new Histogram({
      name: "assay_issue_seconds",
      help: "Time from request to credential in the pipeline.",
      labelNames: ["kind"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    attestations: counter("assay_attestation_total", "Checks of platform tokens, by cluster and outcome.", [
      "cluster",
      "outcome",
    ]),
    reviews: counter("assay_token_review_total", "TokenReview calls, by cluster and outcome.", ["cluster", "outcome"]),
    authorityNotAfter: gauge("assay_authority_not_after_seconds", "Expiry of the active authorities, Unix time.", [
      "authority",
    ]),
    authorityLifetime: gauge(
      "assay_authority_lifetime_seconds",
      "Life that the active authorities had when they were made.",
      ["authority"],
    ),
    authorityStepFailed: counter("assay_authority_step_failed_total", "Scheduled authority steps that failed.", [
      "what",
    ]),
    auditFileFailing: gauge("assay_audit_file_failing", "1 while a copy of the audit log cannot be written.", ["file"]),
    auditFileFailures: counter("assay_audit_file_failure_total", "How often a copy of the audit log failed.", ["file"]),
    publications: counter("assay_publication_total", "Attempts to publish discovery and keys, by target and outcome.", [
      "target",
      "outcome",
    ]),
    publicationBehind: gauge("assay_publication_behind", "1 while the last attempt to publish to the target failed.", [
      "target",
    ]),
    federatedBundle: gauge(
      "assay_federated_bundle",
      "1 for what is in force of another trust domain: file, kept, none.",
      ["trust_domain", "source"],
    ),
    federatedKeepFailures: counter("assay_federated_keep_failure_total", "Failures to keep federated bundles.", []),
    ready: gauge("assay_ready", "1 while the server can do its work.", []),
    rotationPhase: gauge("assay_rotation_phase", "1 for the phase that the rotation of this kind is in.", [
      "kind",
      "phase",
    ]),
    rotationSince: gauge("assay_rotation_phase_since_seconds", "When it entered that phase, Unix time; 0: stable.", [
      "kind",
    ]),
    rotationStopped: gauge("assay_rotation_stopped", "1 while something went wrong or somebody paused it.", ["kind"]),
    epoch: gauge("assay_bundle_epoch", "Epoch of the current trust snapshot.", []),
    subscribers: gauge("assay_subscribers", "Live subscription streams.", []),
    consumersLive: gauge("assay_consumer_live", "Consumers that are connected, by kind and grade of evidence.", [
      "kind",
      "grade",
    ]),
    consumersBehind: gauge("assay_consumer_behind", "Connected consumers that did not take the current epoch.", [
      "kind",
    ]),
    consumersRefusing: gauge("assay_consumer_refusing", "Connected consumers that refused the newest bundle.", [
      "kind",
    ]),
    consumersGone: gauge("assay_consumer_gone", "Consumers that left and hold what has not expired.", []),
    sdsStreams: gauge("assay_sds_streams", "Live SDS streams.", []),
    sdsAnswers: counter("assay_sds_answer_total", "Answers of SDS clients to secrets, by outcome.", ["outcome"]),
    adminRequests: counter("assay_admin_request_total", "Requests of operators, by operation and outcome.", [
      "operation",
      "outcome",
    ]),
    bans: gauge("assay_bans", "Bans in force, by what they name.", ["kind"]),
    evicted: counter(
      "assay_ban_told_streams_total",
      "Live streams that were ended, or told what is left, by a ban.",
      [],
    ),
    revocationPropagation: new Histogram({
      name: "assay_revocation_propagation_seconds",
      help: "From a ban to the last live stream that was told of it, one observation for each ban.",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
      registers,
    }),
    configReloads: counter("assay_config_reload_total", "Attempts to load a changed configuration, by outcome.", [
      "outcome",
    ]),
  } as const
  // A series that begins with its first event has not grown by it. @see MET-06
  for (const kind of ["x509", "jwt", "access-token"]) metrics.issued.inc({ kind }, 0)
  for (const what of ["issuing-authority", "audit-seal"]) metrics.authorityStepFailed.inc({ what }, 0)
  for (const outcome of ["adopted", "refused", "needs-restart"]) metrics.configReloads.inc({ outcome }, 0)
  return metrics
}

export type ServerMetrics = ReturnType<typeof makeServerMetrics>
