import { type DescribeRotation, makeDescribeRotation } from "../../app/rotate/describe-rotation.ts"
import { makeOperateRotation, type OperateRotation } from "../../app/rotate/operate-rotation.ts"
import type { RotateDeps } from "../../app/rotate/rotate-deps.ts"
import { makeRotationController, type RotationController } from "../../app/rotate/rotation-controller.ts"
import type { RotationEvidence } from "../../core/authority/evidence.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { LiveConfig } from "./live-config.ts"
import type { Pipeline } from "./pipeline.ts"
import { rotationTerms } from "./rotation-terms.ts"
import type { KeptTls } from "./serving-certificate.ts"
import { ROOT_BACKDATE, type ServerState } from "./state.ts"

export interface RotationDeps {
  readonly pipeline: Pipeline
  readonly state: Pick<ServerState, "keys" | "store">
  readonly serving: Pick<KeptTls, "reload">
  readonly live: () => LiveConfig
  /** What was expired for less than `rotation.skew` is in it still. */
  readonly evidence: () => Promise<RotationEvidence>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** The machine that rotates the root, and the verbs of operators. */
export interface ServerRotation {
  readonly operate: OperateRotation
  readonly describe: DescribeRotation
  run: RotationController["run"]
}

export function openRotation(deps: RotationDeps): ServerRotation {
  const { pipeline, state, serving, live, clock, random, log } = deps
  const { config } = live()
  const { trust, issuing } = pipeline
  const rotation = () => live().config.rotation
  const rotate: RotateDeps = {
    trust,
    keys: state.keys,
    audit: state.store.auditLog,
    clock,
    random,
    evidence: deps.evidence,
    terms: () => rotationTerms(live().config),
    root: {
      algorithm: config.keys.algorithm,
      subject: { commonName: config.root.commonName, organization: config.root.organization },
      backdate: ROOT_BACKDATE,
      ttl: config.root.ttl,
    },
  }
  const controller = makeRotationController({
    ...rotate,
    issuing: {
      follow: async () => {
        const before = issuing.signsWith()
        await issuing.follow()
        if (issuing.signsWith() !== before) await serving.reload()
      },
    },
    guard: pipeline.guard,
    holder: `server-${Buffer.from(random(8)).toString("hex")}`,
    schedule: () => {
      const { after, mode, canary } = rotation()
      return after === undefined ? undefined : { share: after, auto: mode === "auto", canary }
    },
    renewals: pipeline.renewals,
    waves: () => ({ share: rotation().waveShare, interval: rotation().waveInterval }),
    changed: (signal) => pipeline.subscribers.changed(signal),
    events: {
      moved: (from, to) => log.info({ from, to }, "the rotation of the root entered another phase"),
      failed: (err) => log.error({ err }, "a step of the rotation failed and will be tried again"),
    },
  })
  return {
    operate: makeOperateRotation(rotate),
    describe: makeDescribeRotation(rotate),
    run: (signal) => controller.run(signal),
  }
}
