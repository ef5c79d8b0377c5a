import { DatabaseSync, type StatementResultingChanges, StatementSync } from "node:sqlite"

/**
 * Kill this process at the commit of a write: `lost` before the COMMIT, `kept` right after, before anybody hears of it.
 * @param isNear whether a statement that ran is this write; `undefined`: it says nothing about that
 */
export function killAtCommit(
  way: "lost" | "kept",
  isNear: (sql: string, values: readonly unknown[], changes: number | bigint) => boolean | undefined,
): void {
  let near = false
  const run = methodOf(StatementSync.prototype, "run")
  StatementSync.prototype.run = function (this: StatementSync, ...values: readonly unknown[]) {
    const result: StatementResultingChanges = Reflect.apply(run, this, values)
    near = isNear(this.sourceSQL, values, result.changes) ?? near
    return result
  }
  const exec = methodOf(DatabaseSync.prototype, "exec")
  DatabaseSync.prototype.exec = function (sql: string): void {
    const isFatal = near && sql === "COMMIT"
    if (isFatal && way === "lost") die()
    Reflect.apply(exec, this, [sql])
    if (isFatal) die()
  }
}

function methodOf(prototype: object, name: string): (...values: readonly unknown[]) => never {
  return Object.getOwnPropertyDescriptor(prototype, name)?.value
}

/** Returns to nobody. */
function die(): void {
  process.kill(process.pid, "SIGKILL")
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
