import type { RotationKind, RotationState } from "../../core/authority/rotation-state.ts"
import { IdentityError } from "../../core/errors.ts"
import type { AuthorityRecord, LooseKeys } from "../../ports/authority-journal.ts"
import type { RotateDeps } from "./rotate-deps.ts"

/**
 * Choose the name of a key that an emergency makes next, and destroy what an earlier one left behind: who declares one again may have
 * reason to. Durable when it resolves. @see ROT-67
 */
export async function chooseKey(deps: RotateDeps, keyId: string): Promise<void> {
  const { kind } = deps.authority
  await deps.trust.update((record) => withLoose(record, kind, { ...leavingChosen(record, kind), chosen: keyId }))
  await destroyLeft(deps)
}

/** Nothing comes of the emergency that chose `keyId`: the key goes. The name stays, so that a crash in between leaves nothing unknown. */
export async function giveUpChosen(deps: RotateDeps, keyId: string): Promise<void> {
  const { kind } = deps.authority
  const isOurs = (record: AuthorityRecord) => record.looseKeys?.[kind]?.chosen === keyId
  await deps.trust.update((record) => (isOurs(record) ? withLoose(record, kind, leavingChosen(record, kind)) : record))
  await destroyLeft(deps)
}

/** Only once they are written down as left does nobody make an authority of them any more. */
export async function destroyLeft({ trust, authority, keys }: RotateDeps): Promise<void> {
  const names = trust.record().looseKeys?.[authority.kind]?.left ?? []
  for (const keyId of names.flatMap((name) => authority.plannedKeyIds(name))) await keys.destroy(keyId)
}

/** @throws IdentityError `conflict` when somebody else declares an emergency of this kind at the same time */
export function demandChosen(record: AuthorityRecord, kind: RotationKind, keyId: string): void {
  if (record.looseKeys?.[kind]?.chosen === keyId) return
  throw new IdentityError("conflict", "somebody else declares an emergency of this kind", {
    reason: "emergency-under-way",
    next: "assay rotation status",
  })
}

/**
 * `record` with the loose keys that follow from a step to `state`: a chosen key that has an authority now is none any more, one that was
 * only planned may have been made and will have no authority, and what is left goes before a rotation ends.
 */
export function looseAfter(record: AuthorityRecord, kind: RotationKind, state: RotationState): AuthorityRecord {
  const before = record.rotations[kind]
  const { chosen, left = [] } = record.looseKeys?.[kind] ?? {}
  const keyId = state.phase === "stable" ? undefined : state.keyId
  const unmade = before.phase === "planned" && before.keyId !== keyId ? [before.keyId] : []
  if (keyId !== undefined && keyId === chosen) return withLoose(record, kind, { left: [...left, ...unmade] })
  const swept = state.phase === "stable" && before.phase !== "planned" ? [] : left
  const same = unmade.length === 0 && swept.length === left.length
  const kept = chosen === undefined ? {} : { chosen }
  return same ? record : withLoose(record, kind, { ...kept, left: [...swept, ...unmade] })
}

function leavingChosen({ looseKeys }: AuthorityRecord, kind: RotationKind): LooseKeys {
  const { chosen, left = [] } = looseKeys?.[kind] ?? {}
  return { left: chosen === undefined ? left : [...left, chosen] }
}

/** What is dropped beyond the bound was destroyed before. */
function withLoose(record: AuthorityRecord, kind: RotationKind, loose: LooseKeys): AuthorityRecord {
  return { ...record, looseKeys: { ...record.looseKeys, [kind]: { ...loose, left: loose.left.slice(-MAX_LEFT) } } }
}

const MAX_LEFT = 16
