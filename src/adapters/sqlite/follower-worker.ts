import { parentPort, workerData } from "node:worker_threads"
import { AuditFollower } from "./audit-follower.ts"
import type { FollowerReply, FollowerRequest, FollowerWorkerData } from "./audit-followers.ts"
import { openAuditReader } from "./audit-reader.ts"

/** The thread that keeps one file up to date with the audit log: what hangs, hangs here. */
function main(): void {
  const { path, ...options } = workerData as FollowerWorkerData // only AuditFollowers starts this file
  let follower: AuditFollower | undefined
  const said = () => ({ reached: follower?.reached })
  reply({ kind: "progress", ...said() })
  parentPort?.on("message", (request: FollowerRequest) => {
    if (request === "close") {
      follower?.[Symbol.dispose]()
      parentPort?.close()
      return
    }
    try {
      follower ??= new AuditFollower(openAuditReader(path), options)
      follower.follow(() => reply({ kind: "progress", ...said() }))
      reply({ kind: "done", ...said() })
    } catch (error) {
      reply({ kind: "failed", detail: detailOf(error) })
    }
  })
}

function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown"
  return "code" in error ? `${String(error.code)}: ${error.message}` : error.message
}

function reply(message: FollowerReply): void {
  parentPort?.postMessage(message)
}

main()
