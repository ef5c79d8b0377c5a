import { NOBODY } from "../../core/ban/ban-index.ts"
import { serverId } from "../../core/spiffe/id.ts"
import type { Instant, Seconds } from "../../core/time.ts"
import { assembleCertificate } from "../../core/x509/assemble.ts"
import { IssuancePermit } from "../../core/x509/permit.ts"
import { parsePublicKey } from "../../core/x509/public-key.ts"
import { makeSerial } from "../../core/x509/serial.ts"
import type { Clock } from "../../ports/clock.ts"
import type { SignIntent } from "../../ports/intent-signer.ts"
import type { EphemeralKeys, WorkloadKey } from "../../ports/keys.ts"
import type { Random } from "../../ports/random.ts"
import type { IssuingAuthorities } from "../authority/issuing-authorities.ts"
import type { TrustState } from "../authority/trust-state.ts"

/** What the server proves itself with to its agents. */
export interface ServingSvid {
  /** DER, leaf first, without the root. */
  readonly chain: readonly Uint8Array[]
  readonly key: WorkloadKey
  readonly notBefore: Instant
  readonly notAfter: Instant
}

export interface IssueServingDeps {
  readonly trust: TrustState
  readonly issuing: Pick<IssuingAuthorities, "current">
  readonly ephemeral: EphemeralKeys
  readonly signIntent: SignIntent
  readonly clock: Clock
  readonly random: Random
  readonly plan: {
    readonly dnsNames: readonly string[]
    readonly ipAddresses: readonly Uint8Array[]
    readonly ttl: Seconds
    readonly backdate: Seconds
    readonly serialPrefix: number
  }
}

/** The server's own SVID, by the same steps as everybody's, with the process itself as the requester. @see SID-10 */
export async function issueServing(deps: IssueServingDeps): Promise<ServingSvid> {
  const { plan, clock, random } = deps
  const authority = deps.issuing.current()
  const key = await deps.ephemeral.makeWorkloadKey("ec-p256")
  const now = clock.now()
  const spiffeId = serverId(deps.trust.record().trustDomain)
  const permit = IssuancePermit.prepare(authority.template, {
    serial: makeSerial(random, plan.serialPrefix),
    spiffeId,
    dnsNames: plan.dnsNames,
    ipAddresses: plan.ipAddresses,
    publicKey: parsePublicKey(key.publicKey),
    notBefore: Math.max(now - plan.backdate, authority.notBefore),
    notAfter: Math.min(now + plan.ttl, authority.notAfter),
  })
  const { serial, notBefore, notAfter } = permit
  const tbs = permit.redeem(authority.authorityId)
  const requester = { cluster: "", namespace: "", serviceAccount: "", pod: "", podUid: "", node: "" }
  const { signature } = await deps.signIntent({
    intent: {
      serial,
      kind: "x509",
      authorityId: authority.authorityId,
      epoch: authority.epoch,
      spiffeId,
      hint: "",
      tbs,
      notBefore,
      notAfter,
      createdAt: now,
      requester: { ...requester, evidenceDigest: new Uint8Array(32) },
      rule: SERVING_RULE,
      idempotencyKey: undefined,
    },
    decision: {
      type: "svid.granted",
      kind: "x509",
      at: now,
      actor: "server",
      requestId: "serving",
      spiffeId,
      serial,
      authority: authority.authorityId,
      epoch: authority.epoch,
      renews: "",
      rule: SERVING_RULE,
      revision: "",
      degraded: false,
    },
    reuseSince: now,
    subject: NOBODY,
    signer: authority.signer,
    form: "der",
  })
  return { chain: [assembleCertificate(tbs, signature), authority.certificate], key, notBefore, notAfter }
}

const SERVING_RULE = "assay/server"
