import crypto, { type SignKeyObjectInput } from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import { DatabaseSync } from "node:sqlite"
import { isMainThread } from "node:worker_threads"

/**
 * Loaded before anything else, in each thread. In the store's thread it stands around COMMIT and around the signature, in the
 * thread that signs beside it around the signature, and kills the process at the n-th time of one step. Environment: `FATAL_STEP`,
 * `FATAL_NTH`; with `LOOK_BUSY` every thread seems to compute all of the time, so that it seeks help.
 */
const { FATAL_STEP = "", FATAL_NTH = "", LOOK_BUSY = "" } = process.env
const seen = new Map<string, number>()

export function reach(step: string): void {
  const count = (seen.get(step) ?? 0) + 1
  seen.set(step, count)
  if (step === FATAL_STEP && count === Number(FATAL_NTH)) process.kill(process.pid, "SIGKILL")
}

if (LOOK_BUSY !== "") {
  process.threadCpuUsage = () => ({ user: performance.now() * 1000, system: 0 })
}

if (!isMainThread) {
  let isStore = false
  let isSigned = false
  const exec = Object.getOwnPropertyDescriptor(DatabaseSync.prototype, "exec")?.value
  DatabaseSync.prototype.exec = function (sql: string): void {
    if (sql === "COMMIT") {
      isStore = true
      reach("during-intent")
    }
    Reflect.apply(exec, this, [sql])
    if (sql !== "COMMIT") return
    reach("after-intent")
    // What was signed before is in this commit.
    if (isSigned) reach("after-outcome")
    isSigned = false
  }
  const { sign } = crypto
  const signAndReach = (algorithm: string, data: NodeJS.ArrayBufferView, key: SignKeyObjectInput): Buffer => {
    const signature = sign(algorithm, data, key)
    isSigned = true
    reach(isStore ? "after-signature" : "after-signature-beside")
    return signature
  }
  Object.assign(crypto, { sign: signAndReach })
  syncBuiltinESMExports()
}
