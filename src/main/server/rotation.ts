import { type DescribeRotation, makeDescribeRotation } from "../../app/rotate/describe-rotation.ts"
import { jwtAuthority } from "../../app/rotate/jwt-authority.ts"
import { jwtEvidence } from "../../app/rotate/jwt-evidence.ts"
import { makeOperateRotation, type OperateRotation } from "../../app/rotate/operate-rotation.ts"
import { rootAuthority } from "../../app/rotate/root-authority.ts"
import type { RotateDeps } from "../../app/rotate/rotate-deps.ts"
import { type ControllerDeps, makeRotationController } from "../../app/rotate/rotation-controller.ts"
import type { RotationEvidence } from "../../core/authority/evidence.ts"
import { jwtRotationDue } from "../../core/authority/jwt-keys.ts"
import { renewOrder } from "../../core/authority/renew-waves.ts"
import { rotationDue } from "../../core/authority/rotation-schedule.ts"
import type { RotationKind } from "../../core/authority/rotation-state.ts"
import { makeInTurn } from "../../core/in-turn.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
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
  readonly serving: Pick<KeptTls, "followRoot" | "followProbe">
  readonly live: () => LiveConfig
  /** What was expired for less than `rotation.skew` is in it still. */
  readonly evidence: () => Promise<RotationEvidence>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** The machine that rotates one kind of authority, and the verbs of operators over it. */
export interface ServerRotation {
  readonly operate: OperateRotation
  readonly describe: DescribeRotation
  run(signal: AbortSignal): Promise<void>
}

/** Both rotate by machines of their own, under one lease. */
export type ServerRotations = Readonly<Record<RotationKind, ServerRotation>>

export function openRotations(deps: RotationDeps): ServerRotations {
  const holder = `server-${Buffer.from(deps.random(8)).toString("hex")}`
  return { x509: openRotation(deps, holder, roots(deps)), jwt: openRotation(deps, holder, jwtKeys(deps)) }
}

/** What differs from kind to kind. */
type Course = Pick<RotateDeps, "authority" | "evidence" | "terms"> & Pick<ControllerDeps, "schedule" | "order">

function openRotation(deps: RotationDeps, holder: string, course: Course): ServerRotation {
  const { pipeline, state, clock, random, log } = deps
  const { trust, guard, subscribers } = pipeline
  const { kind } = course.authority
  const rotate: RotateDeps = { ...course, trust, keys: state.keys, audit: state.store.auditLog, clock, random }
  const controller = makeRotationController({
    ...rotate,
    ...course,
    guard,
    holder,
    changed: (signal) => subscribers.changed(signal),
    events: {
      moved: (from, to) => log.info({ kind, from, to }, "a rotation entered another phase"),
      failed: (err) => log.error({ kind, err }, "a step of a rotation failed and will be tried again"),
    },
  })
  return {
    operate: makeOperateRotation(rotate),
    describe: makeDescribeRotation(rotate),
    run: (signal) => controller.run(signal),
  }
}

function roots(deps: RotationDeps): Course {
  const { pipeline, state, serving, live, clock, random } = deps
  const { config } = live()
  const { trust, issuing, renewals } = pipeline
  const rotation = () => live().config.rotation
  const inTurn = makeInTurn() // operators and the controller follow the same record
  return {
    authority: rootAuthority({
      trust,
      keys: state.keys,
      audit: state.store.auditLog,
      clock,
      random,
      root: {
        algorithm: config.keys.algorithm,
        subject: { commonName: config.root.commonName, organization: config.root.organization },
        backdate: ROOT_BACKDATE,
        ttl: config.root.ttl,
      },
      issuing: {
        follow: () =>
          inTurn(async () => {
            await issuing.follow()
            await serving.followRoot()
            await serving.followProbe()
          }),
      },
    }),
    evidence: deps.evidence,
    terms: () => rotationTerms(live().config, "x509"),
    schedule: () => {
      const { after, mode, canary } = rotation()
      const active = trust.record().roots.find(({ state }) => state === "active")
      if (after === undefined || active === undefined) return undefined
      return { due: rotationDue(parseCertificate(active.certificate), { share: after }), auto: mode === "auto", canary }
    },
    order: (rotating, now) => {
      renewals.set(renewOrder(rotating, now, { share: rotation().waveShare, interval: rotation().waveInterval }))
    },
  }
}

/** Nobody is asked to renew for a JWT key: tokens are asked for anew when they are needed, and renewals prove the bundle in time. */
function jwtKeys({ pipeline, state, live, clock, evidence }: RotationDeps): Course {
  const { trust, jwtKeys: keySet } = pipeline
  const { jwt } = live().config
  return {
    authority: jwtAuthority({
      keys: state.keys,
      audit: state.store.auditLog,
      clock,
      algorithms: keySet.algorithms,
      jwtKeys: keySet,
    }),
    evidence: async () => jwtEvidence(await evidence(), trust.record(), keySet.signsWith()),
    terms: () => rotationTerms(live().config, "jwt"),
    schedule: () => ({
      due: jwtRotationDue(trust.record().jwtKeys, { ...jwt, algorithms: keySet.algorithms }),
      auto: true,
      canary: { namespaces: [], prefixes: [] },
    }),
    order: () => undefined,
  }
}
