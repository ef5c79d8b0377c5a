import { BAN_KINDS } from "../../core/ban/ban.ts"
import type { BanPlace } from "../../core/ban/ban-index.ts"
import { IdentityError } from "../../core/errors.ts"
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { IssuanceLog } from "../../ports/issuance-log.ts"
import type { BanView } from "./ban-view.ts"

/** What of a token, or of a certificate that serves as one, a ban can be about. */
export interface DeniableToken {
  /** `jti`, or the serial as the issuance log has it; `undefined` when it has none. */
  readonly tokenId: string | undefined
  /** Everybody whose ban takes the token along; what is no SPIFFE ID is nobody. */
  readonly subjects: readonly string[]
  /** `iat`. */
  readonly issuedAt: Instant | undefined
  readonly keys?: readonly string[]
}

/** Whether a token is dead because of a ban, in force or lifted. @throws IdentityError `not-ready`, `rate-limited` @see BAN-08 */
export type DenyToken = (token: DeniableToken) => Promise<boolean>

export interface DenyTokenDeps {
  readonly bans: Pick<BanView, "matchToken" | "hasAny">
  readonly issuanceLog: Pick<IssuanceLog, "findRequester">
}

/** Where its holder runs does not stand in a token: the issuance log says it, and is asked only while such a ban is known. */
export function makeDenyToken({ bans, issuanceLog }: DenyTokenDeps): DenyToken {
  return async ({ tokenId, subjects, issuedAt, keys = [] }) => {
    if (!bans.hasAny(BAN_KINDS)) return false
    const ids = subjects.flatMap(idOf)
    if (bans.matchToken({ ids, places: [], keys }, issuedAt) !== undefined) return true
    if (tokenId === undefined || !bans.hasAny(["cluster", "namespace", "node", "pod"])) return false
    const place: BanPlace | undefined = await issuanceLog.findRequester(tokenId)
    if (place === undefined) return false
    return bans.matchToken({ ids: [], places: [place], keys: [] }, issuedAt) !== undefined
  }
}

function idOf(text: string): readonly SpiffeId[] {
  try {
    return [parseSpiffeId(text)]
  } catch (thrown) {
    if (thrown instanceof IdentityError) return []
    throw thrown
  }
}
