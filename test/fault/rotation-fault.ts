import { isMainThread } from "node:worker_threads"
import { killAtCommit } from "./kill-at-commit.ts"

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
  // One that another writer was quicker than changes nothing.
  killAtCommit(way === "lost" ? "lost" : "kept", (sql, values, changes) =>
    sql.startsWith("UPDATE authority SET") ? changes === 1 && phaseOf(values) === phase : undefined,
  )
}

function phaseOf(values: readonly unknown[]): unknown {
  const record = values.find((value) => typeof value === "string")
  if (record === undefined) return undefined
  const { rotations, looseKeys } = JSON.parse(record)
  return looseKeys?.[kind]?.chosen === undefined ? rotations[kind].phase : "chosen"
}
