import { banName, type RecordedBan } from "../../core/ban/ban.ts"
import type { BanPlace, BanSubject } from "../../core/ban/ban-index.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Attested } from "../../core/policy/attested.ts"
import type { Principal } from "../../core/policy/principal.ts"
import type { SpiffeId } from "../../core/spiffe/id.ts"
import type { BanView } from "./ban-view.ts"

/** What doors say to the banned; who banned whom is for the log alone. @see BAN-06 */
export function bannedError(recorded?: RecordedBan): IdentityError {
  const target = recorded?.ban.target
  const cause = target === undefined ? undefined : `banned: ${target.kind} ${banName(target)}`
  return new IdentityError("policy-denied", "this identity is banned", { reason: BANNED, cause })
}

/** @throws IdentityError `policy-denied`, reason `banned` */
export function refuseBanned(bans: Pick<BanView, "match">, subject: BanSubject): void {
  const ban = bans.match(subject)
  if (ban !== undefined) throw bannedError(ban)
}

export function isBannedError(error: IdentityError): boolean {
  return error.reason === BANNED
}

/** A workload that was attested, under the identity that it asks for. */
export function subjectOf(attested: Attested, ...ids: readonly SpiffeId[]): BanSubject {
  return { ids, places: [placeOf(attested)], keys: [] }
}

export function placeOf({ claims }: Attested): BanPlace {
  const { cluster, namespace, pod, node } = claims
  return { cluster, namespace, podUid: pod?.uid ?? "", node: node?.name ?? "" }
}

/** Everybody who takes part in a token. */
export function subjectOfParties(parties: readonly Principal[], actors: readonly SpiffeId[] = []): BanSubject {
  return {
    ids: [...parties.map(({ facts }) => facts.id), ...actors],
    places: parties.flatMap(({ facts }) => (facts.attested === undefined ? [] : [placeOf(facts.attested)])),
    keys: [],
  }
}

const BANNED = "banned"
