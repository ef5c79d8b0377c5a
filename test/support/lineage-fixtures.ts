import type { Instant } from "../../src/core/time.ts"
import type { Intent, IntentGuards, IntentResult, IssuanceLog } from "../../src/ports/issuance-log.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "./issuance-fixtures.ts"

/** The rest of a renewal that a test does not care for. */
export interface RenewalChange {
  readonly podUid?: string
  readonly intent?: Partial<Intent>
  readonly now?: Instant
  readonly isSole?: boolean
}

/** Record an intent that renews `quoted`, for a key that only this `key` names. */
export function renew(
  log: Pick<IssuanceLog, "recordIntent">,
  serial: string,
  quoted: string | undefined,
  key = `key of ${serial}`,
  { podUid = "pod-1", intent = {}, now = FIXTURE_NOW, isSole = false }: RenewalChange = {},
): Promise<IntentResult> {
  const guards: IntentGuards = { ...NO_BANS, renewal: { quoted, key, isSole } }
  const { requester } = fixtureIntent(serial)
  const change = { createdAt: now, notAfter: now + 3600, requester: { ...requester, podUid }, ...intent }
  return log.recordIntent(fixtureIntent(serial, change), fixtureGrant(serial), now, guards)
}
