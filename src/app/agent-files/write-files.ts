import { createHash } from "node:crypto"
import { toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import type { Clock } from "../../ports/clock.ts"
import type { FileContent, FileSet } from "../../ports/file-set.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { WorkloadApi, X509Material } from "../../ports/workload-api.ts"
import { encodePemSet } from "./pem-set.ts"

export interface WriteFilesDeps {
  readonly api: Pick<WorkloadApi, "watchX509">
  readonly files: FileSet
  readonly clock: Pick<Clock, "sleep">
  readonly log: Log
  /** Told after each change of the files; a failure is logged and the files stay. */
  readonly changed: (signal: AbortSignal) => Promise<void>
}

/** Names the content of a set of files. */
export type FilesDigest = string

/**
 * Keep the files current until `signal` aborts. While the agent is away, or they cannot be written, the files stay as they are. @see CLI-08
 * @param written what is there, as {@link writeFilesOnce} says, and whoever uses it knows of; `undefined`: nobody knows
 */
export async function keepFilesWritten(
  deps: WriteFilesDeps,
  signal: AbortSignal,
  written?: FilesDigest,
): Promise<void> {
  let known = written
  let delay = FIRST_RETRY
  while (!signal.aborted) {
    try {
      for await (const material of deps.api.watchX509(signal)) {
        const before = known
        known = await publish(deps, material)
        delay = FIRST_RETRY
        deps.log.info({ spiffeId: material.svids[0]?.spiffeId }, "files written")
        // A stream that is opened again begins with what was written already, or with what changed meanwhile.
        if (known !== before) await announce(deps, signal)
      }
    } catch (thrown) {
      const { code } = toIdentityError(thrown)
      if (PERMANENT.has(code)) throw thrown
      if (!signal.aborted)
        deps.log.warn({ err: thrown, retryInMs: delay }, "the files are not kept current; trying again")
    }
    await deps.clock.sleep(delay, signal)
    delay = Math.min(delay * 2, LAST_RETRY)
  }
}

/** Write the files as they are now, and end. @returns what was written @throws IdentityError when there is nothing to write */
export async function writeFilesOnce(deps: WriteFilesDeps, signal: AbortSignal): Promise<FilesDigest | undefined> {
  const done = new AbortController()
  let written: FilesDigest | undefined
  for await (const material of deps.api.watchX509(AbortSignal.any([signal, done.signal]))) {
    written = await publish(deps, material)
    await announce(deps, signal)
    break
  }
  done.abort()
  return written
}

async function publish({ files }: WriteFilesDeps, material: X509Material): Promise<FilesDigest> {
  const set = encodePemSet(material)
  await files.publish(set)
  return digestOf(set)
}

function digestOf(files: ReadonlyMap<string, FileContent>): FilesDigest {
  const hash = createHash("sha256")
  for (const [name, { content }] of files) hash.update(`${name}\0${content}\0`)
  return hash.digest("base64")
}

async function announce(deps: WriteFilesDeps, signal: AbortSignal): Promise<void> {
  try {
    await deps.changed(signal)
  } catch (thrown) {
    deps.log.error({ err: thrown }, "files are written, but the process could not be told")
  }
}

const FIRST_RETRY: Millis = 500
const LAST_RETRY: Millis = 30_000
/** No retry makes a directory ours, or our code right. */
const PERMANENT: ReadonlySet<string> = new Set(["already-exists", "internal", "unsupported"])
