import { DatabaseSync, type StatementResultingChanges, StatementSync } from "node:sqlite"
import { isMainThread } from "node:worker_threads"

/**
 * Loaded before anything else, in each thread of a real server. Kills the process at the write that records an approval, the trace of
 * what it does, its effect, or what came of it: `lost` before the COMMIT, `kept` right after, before anybody hears of it. Both are in
 * the query of the file's URL.
 */
const wanted = new URL(import.meta.url).searchParams
const point = wanted.get("point") ?? ""
const way = wanted.get("way")

if (!isMainThread && way !== null) {
  let isNear = false
  const run = methodOf(StatementSync.prototype, "run")
  StatementSync.prototype.run = function (this: StatementSync, ...values: readonly unknown[]) {
    const result: StatementResultingChanges = Reflect.apply(run, this, values)
    if (result.changes === 1 && isAt(point, this.sourceSQL, values)) isNear = true
    return result
  }
  const exec = methodOf(DatabaseSync.prototype, "exec")
  DatabaseSync.prototype.exec = function (sql: string): void {
    const isFatal = isNear && sql === "COMMIT"
    if (isFatal && way === "lost") die()
    Reflect.apply(exec, this, [sql])
    if (isFatal) die()
  }
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

function methodOf(prototype: object, name: string): (...values: readonly unknown[]) => never {
  return Object.getOwnPropertyDescriptor(prototype, name)?.value
}

/** Returns to nobody. */
function die(): void {
  process.kill(process.pid, "SIGKILL")
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
