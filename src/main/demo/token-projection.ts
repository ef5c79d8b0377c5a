import { rename, writeFile } from "node:fs/promises"
import type { Millis, Seconds } from "../../core/time.ts"
import type { LocalCluster, LocalPod } from "./local-cluster.ts"
import { AUDIENCE } from "./world-files.ts"

/** Keep a pod's token in `file` as the kubelet does: written at once, and anew long before it expires. */
export async function projectToken(cluster: LocalCluster, pod: LocalPod, file: string): Promise<AsyncDisposable> {
  const write = async (): Promise<void> => {
    await writeFile(`${file}.new`, cluster.issueToken(pod, { audience: [AUDIENCE], lifetime: LIFETIME }), {
      mode: 0o600,
    })
    await rename(`${file}.new`, file)
  }
  await write()
  let writing: Promise<void> = Promise.resolve()
  // A token that could not be written stays as it is; the next turn comes long before it expires.
  const timer = setInterval(() => {
    writing = write().catch(() => undefined)
  }, REFRESH)
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await writing
    },
  }
}

const LIFETIME: Seconds = 3600
const REFRESH: Millis = 600_000
