import { isMainThread } from "node:worker_threads"
import { killAtCommit } from "./kill-at-commit.ts"

/**
 * Loaded before anything else, in each thread of a real server. Kills the process at the write that records an approval, the trace of
 * what it does, its effect, or what came of it: `lost` before the COMMIT, `kept` right after, before anybody hears of it. Both are in
 * the query of the file's URL.
 */
const wanted = new URL(import.meta.url).searchParams
const point = wanted.get("point") ?? ""
const way = wanted.get("way")

if (!isMainThread && way !== null) {
  // What changes nothing is another writer's, and what is near stays so until it is committed.
  killAtCommit(way === "lost" ? "lost" : "kept", (sql, values, changes) =>
    changes === 1 && isAt(point, sql, values) ? true : undefined,
  )
}

function isAt(where: string, sql: string, values: readonly unknown[]): boolean {
  switch (where) {
    case "approval":
      return sql.startsWith("UPDATE proposal SET outcome")
    case "trace":
      return sql.startsWith("INSERT INTO audit_event") && values.includes("rotation.changed")
    case "effect":
      return (
        sql.startsWith("INSERT OR REPLACE INTO ban") || (sql.startsWith("UPDATE authority SET") && isPlanned(values))
      )
    case "outcome":
      return sql.startsWith("UPDATE proposal SET execution")
    default:
      return false
  }
}

function isPlanned(values: readonly unknown[]): boolean {
  const record = values.find((value) => typeof value === "string")
  return record !== undefined && JSON.parse(record).rotations.x509.phase === "planned"
}
