import type { DatabaseSync } from "node:sqlite"
import type { BanTarget } from "../../core/ban/ban.ts"
import { namedBy } from "../../core/ban/ban-index.ts"
import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Instant } from "../../core/time.ts"
import type { HolderCount } from "../../ports/consumers.ts"
import { addHeld, readHeldRows } from "./read-holdings.ts"
import { type SqlRow, textOf } from "./sql-row.ts"

/** Counted where it is read: of tens of thousands nobody else has to hear. @throws IdentityError as {@link readHeldRows} */
export function countHolders(db: DatabaseSync, target: BanTarget, now: Instant): HolderCount {
  const isNamed = namedBy(target)
  const named = readHeldRows(db, now).filter((row) => isNamed(subjectOf(row)))
  const held = addHeld(new Map(), named)
  const ends = [...held.values()].map(({ notAfter }) => notAfter)
  return {
    holders: held.size,
    lastExpiry: ends.reduce((last: Instant | undefined, end) => later(last, end), undefined),
  }
}

function later(last: Instant | undefined, end: Instant): Instant {
  return last === undefined ? end : Math.max(last, end)
}

function subjectOf(row: SqlRow) {
  const place = {
    cluster: textOf(row, "cluster"),
    namespace: textOf(row, "namespace"),
    podUid: textOf(row, "pod_uid"),
    node: textOf(row, "node"),
  }
  return { ids: [parseSpiffeId(textOf(row, "spiffe_id"))], places: [place], keys: [] }
}
