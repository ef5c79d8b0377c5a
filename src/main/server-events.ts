import type { ServerMetrics } from "../adapters/metrics/registry.ts"
import type { AttestTelemetry } from "../app/attest/attest-telemetry.ts"
import type { AuthorityEvents } from "../app/authority/events.ts"
import type { BanEvents } from "../app/ban/events.ts"
import type { PublicationEvents } from "../app/deliver/keep-published.ts"
import type { FederationEvents } from "../app/federate/events.ts"
import type { IssueEvents } from "../app/issue/events.ts"
import { banName } from "../core/ban/ban.ts"
import { type IdentityError, toIdentityError } from "../core/errors.ts"
import { LINEAGE_VIOLATED } from "../core/lineage/lineage-refusal.ts"
import type { Millis } from "../core/time.ts"
import type { Log } from "../ports/telemetry.ts"
import { makeFederationEvents } from "./server/federation-events.ts"

/** Each event of the server as one log record and one count, written together. */
export interface ServerEvents {
  readonly issue: IssueEvents
  readonly authority: AuthorityEvents
  readonly attest: AttestTelemetry
  readonly publication: PublicationEvents
  readonly federation: FederationEvents
  /** Nothing is issued any more, for this reason, or it is again. @see IDA-35 */
  readonly readinessChanged: (failure: IdentityError | undefined) => void
  /** A copy of the audit log cannot be written any more, or can again. @see AUD-36 */
  auditFileChanged(file: string, failure: IdentityError | undefined): void
  readonly bans: BanEvents
  /** That somebody was refused could not be recorded; it is counted on. @see ADM-27 BAN-06 */
  readonly refusalsUnrecorded: (thrown: unknown) => void
  /** An issuance that succeeded took so long. */
  took(kind: "x509" | "jwt", elapsed: Millis): void
}

export function makeServerEvents(log: Log, metrics: ServerMetrics): ServerEvents {
  return {
    issue: {
      x509Issued: ({ spiffeId, serial, notAfter }, requestId) => {
        metrics.issued.inc({ kind: "x509" })
        log.debug({ spiffeId, serial, notAfter, requestId }, "issued an X.509-SVID")
      },
      jwtIssued: (requestId) => {
        metrics.issued.inc({ kind: "jwt" })
        log.debug({ requestId }, "issued a JWT-SVID")
      },
      accessTokenIssued: (requestId) => {
        metrics.issued.inc({ kind: "access-token" })
        log.debug({ requestId }, "issued an access token")
      },
      renewalRefused: (spiffeId, requestId, err) => {
        metrics.refused.inc({ kind: "x509", code: err.code })
        if (err.reason !== LINEAGE_VIOLATED) {
          log.warn({ spiffeId, requestId, err }, "refused a certificate to a pod whose lineage is broken")
          return
        }
        metrics.lineageViolations.inc()
        log.error({ spiffeId, requestId, err }, "incident: a certificate was renewed by somebody who is not its holder")
      },
      refused: (kind, requestId, err) => {
        metrics.refused.inc({ kind, code: err.code })
        log[lineOfRefusal(err)](
          { kind, code: err.code, reason: err.reason, requestId, err },
          "refused a request for a credential",
        )
      },
    },
    authority: {
      issuingAdopted: (authority, notAfter, life) => {
        metrics.authorityLifetime.set({ authority: "issuing" }, life)
        metrics.authorityNotAfter.set({ authority: "issuing" }, notAfter)
        log.info({ authority, notAfter }, "a new issuing authority signs from now on")
      },
      stepFailed: (what, err) => {
        metrics.authorityStepFailed.inc({ what })
        log.error({ what, err }, "a scheduled step of an authority failed and will be tried again")
      },
    },
    attest: {
      attested: ({ claims }, how) => {
        metrics.attestations.inc({ cluster: claims.cluster, outcome: how })
        if (claims.degraded) {
          log.warn(
            { cluster: claims.cluster, pod: claims.pod?.name },
            "renewal without review: the cluster did not answer",
          )
        }
      },
      refused: ({ code }) => metrics.attestations.inc({ cluster: "", outcome: code }),
      reviewed: (cluster, outcome) => metrics.reviews.inc({ cluster, outcome }),
    },
    publication: {
      published: (target, outcome) => {
        metrics.publications.inc({ target, outcome })
        metrics.publicationBehind.set({ target }, 0)
        if (outcome === "written") log.info({ target }, "discovery and keys were written")
      },
      failed: (target, err, retryInMs) => {
        metrics.publications.inc({ target, outcome: "failed" })
        metrics.publicationBehind.set({ target }, 1)
        log.error({ target, err, retryInMs }, "discovery and keys could not be written and will be tried again")
      },
    },
    federation: makeFederationEvents(log, metrics),
    readinessChanged: (err) => {
      if (err === undefined) log.info({}, "ready again")
      else log.error({ reason: err.reason, err }, "not ready: nothing is issued until this has passed")
    },
    auditFileChanged: (file, err) => {
      metrics.auditFileFailing.set({ file }, err === undefined ? 0 : 1)
      if (err === undefined) return log.info({ file }, "a copy of the audit log is written again, with nothing missing")
      metrics.auditFileFailures.inc({ file })
      log.error({ file, err }, "a copy of the audit log cannot be written and is tried again each second")
    },
    bans: {
      added: ({ target, reason, actor, until }, requestId) =>
        log.warn({ ban: target.kind, name: banName(target), reason, actor, until, requestId }, "banned"),
      lifted: (target, requestId) =>
        log.warn({ ban: target.kind, name: banName(target), requestId }, "a ban was lifted"),
      propagated: ({ ban }, streams, elapsed) => {
        metrics.revocationPropagation.observe(elapsed / 1000)
        metrics.evicted.inc(streams)
        const { kind } = ban.target
        log.info({ ban: kind, name: banName(ban.target), streams, elapsedMs: Math.round(elapsed) }, "ban reached all")
      },
      readFailed: (err) => log.error({ err }, "what other replicas banned cannot be read; trying again"),
      holdersUnknown: (err) => log.error({ err }, "who holds a banned key cannot be read; trying again"),
    },
    refusalsUnrecorded: (thrown) => log.warn({ err: toIdentityError(thrown) }, "refusals are not in the audit log yet"),
    took: (kind, elapsed) => metrics.issueSeconds.observe({ kind }, elapsed / 1000),
  }
}

/** One caller over its rate could fill a disk with its refusals; the metric counts them. @see IDA-08 */
function lineOfRefusal({ code }: IdentityError): "error" | "info" | "debug" {
  if (code === "internal") return "error"
  return code === "rate-limited" ? "debug" : "info"
}
