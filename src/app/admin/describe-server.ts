import type { AuthorityRole } from "../../core/authority/authority-roles.ts"
import type { Instant } from "../../core/time.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import type { Clock } from "../../ports/clock.ts"
import type { IssuingAuthorities } from "../authority/issuing-authorities.ts"
import type { TrustState } from "../authority/trust-state.ts"
import type { SubscriberRow } from "../deliver/consumers.ts"
import type { FederatedFacts } from "../federate/federated-trust.ts"

export interface DescribeServerDeps {
  readonly version: string
  readonly trust: TrustState
  readonly issuing: Pick<IssuingAuthorities, "current">
  readonly subscribers: () => readonly SubscriberRow[]
  readonly ready: () => boolean
  readonly federation: () => readonly FederatedFacts[]
  /** Of the rules in force. */
  readonly rulesRevision: () => string
  readonly clock: Clock
}

/** An authority of the trust domain, without anything secret. */
export interface AuthorityFacts {
  readonly kind: "root" | "issuing" | "jwt"
  /** Hex of the subject key identifier; `kid` of a JWT key. */
  readonly id: string
  readonly state: AuthorityRole
  readonly algorithm?: string
  readonly notBefore?: Instant
  readonly notAfter?: Instant
  /** When it entered its state, of a JWT key. */
  readonly since?: Instant
}

export interface ServerFacts {
  readonly version: string
  readonly trustDomain: string
  readonly incarnation: string
  readonly epoch: number
  readonly now: Instant
  readonly ready: boolean
  readonly rulesRevision: string
  readonly authorities: readonly AuthorityFacts[]
  readonly federation: readonly FederatedFacts[]
  readonly subscribers: {
    readonly count: number
    /** Streams that have not acknowledged the current epoch. */
    readonly behind: number
    /** Streams whose last answer was a refusal. */
    readonly refusing: number
    /** Consumers behind agents, as their agents report them. */
    readonly consumers: number
    readonly consumersRefusing: number
  }
}

/** What this process is and holds, at this moment. */
export function makeDescribeServer(deps: DescribeServerDeps): () => ServerFacts {
  return () => {
    const { trustDomain, incarnation, epoch } = deps.trust.record()
    const rows = deps.subscribers()
    const agents = rows.filter(({ door }) => door === "agent")
    const consumers = rows.flatMap((row) => row.consumers)
    return {
      version: deps.version,
      trustDomain,
      incarnation,
      epoch,
      now: deps.clock.now(),
      ready: deps.ready(),
      rulesRevision: deps.rulesRevision(),
      authorities: authoritiesOf(deps),
      federation: deps.federation(),
      subscribers: {
        count: agents.length,
        behind: agents.filter((row) => row.epoch !== epoch).length,
        refusing: agents.filter((row) => row.nackReason !== undefined).length,
        consumers: consumers.length,
        consumersRefusing: consumers.filter(({ nackReason }) => nackReason !== undefined).length,
      },
    }
  }
}

function authoritiesOf({ trust, issuing, clock }: DescribeServerDeps): readonly AuthorityFacts[] {
  const { roots, jwtKeys } = trust.record()
  return [
    ...roots.map(({ certificate, state }): AuthorityFacts => {
      const { subjectKeyId, notBefore, notAfter } = parseCertificate(certificate)
      const id = Buffer.from(subjectKeyId ?? []).toString("hex")
      return { kind: "root", id, state, notBefore, notAfter }
    }),
    ...issuingFacts(issuing, clock.now()),
    ...jwtKeys.map(({ kid, algorithm, state, since }): AuthorityFacts => {
      return { kind: "jwt", id: kid, state, algorithm, since }
    }),
  ]
}

/** None while it is out of date: then nothing is signed. */
function issuingFacts(issuing: Pick<IssuingAuthorities, "current">, now: Instant): readonly AuthorityFacts[] {
  try {
    const { authorityId, notBefore, notAfter } = issuing.current()
    return [{ kind: "issuing", id: authorityId, state: notAfter > now ? "active" : "retired", notBefore, notAfter }]
  } catch {
    return []
  }
}
