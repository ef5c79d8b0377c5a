import { DatabaseSync, type StatementResultingChanges, StatementSync } from "node:sqlite"
import { isMainThread } from "node:worker_threads"

/**
 * Loaded before anything else, in each thread of a real server. Kills the process at the write that brings the rotation of a kind
 * into a phase, or with phase `chosen` at the one that names the key of an emergency: `lost` before its COMMIT, `kept` right after,
 * before anybody hears of it. All are in the query of the file's URL.
 */
const wanted = new URL(import.meta.url).searchParams
const phase = wanted.get("phase")
const way = wanted.get("way")
const kind = wanted.get("kind") ?? ""

if (!isMainThread && phase !== null) {
  let isNear = false
  const run = methodOf(StatementSync.prototype, "run")
  StatementSync.prototype.run = function (this: StatementSync, ...values: readonly unknown[]) {
    const result: StatementResultingChanges = Reflect.apply(run, this, values)
    // One that another writer was quicker than changes nothing.
    if (this.sourceSQL.startsWith("UPDATE authority SET")) isNear = result.changes === 1 && phaseOf(values) === phase
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

function phaseOf(values: readonly unknown[]): unknown {
  const record = values.find((value) => typeof value === "string")
  if (record === undefined) return undefined
  const { rotations, looseKeys } = JSON.parse(record)
  return looseKeys?.[kind]?.chosen === undefined ? rotations[kind].phase : "chosen"
}

function methodOf(prototype: object, name: string): (...values: readonly unknown[]) => never {
  return Object.getOwnPropertyDescriptor(prototype, name)?.value
}

/** Returns to nobody. */
function die(): void {
  process.kill(process.pid, "SIGKILL")
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
