import { toIdentityError } from "../../core/errors.ts"
import { isLineageRefusal } from "../../core/lineage/lineage-refusal.ts"
import { isBannedError } from "../ban/banned.ts"
import type { IssueEvents } from "./events.ts"

/**
 * What `issue` comes to; a failure is counted and logged as that of the request, once: what a ban or the lineage forbids was told where
 * it was found. @see MET-03
 */
export async function tellFailure<Issued>(
  events: Pick<IssueEvents, "refused">,
  kind: "x509" | "jwt",
  requestId: string,
  issue: () => Promise<Issued>,
): Promise<Issued> {
  try {
    return await issue()
  } catch (thrown) {
    const error = toIdentityError(thrown)
    if (!isBannedError(error) && !isLineageRefusal(error)) events.refused(kind, requestId, error)
    throw thrown
  }
}
