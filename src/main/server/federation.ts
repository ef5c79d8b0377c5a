import { open } from "node:fs/promises"
import { IdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { parseBundle } from "../../core/spiffe/bundle-document.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { watchFolderOf } from "../config/watch-folder.ts"

export interface FederationDeps {
  readonly files: () => ServerConfig["federation"]
  readonly publish: (bundles: readonly TrustBundle[]) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Publish the bundles of other trust domains, and return the task that keeps them as their files say. A file that cannot be
 * read, or is not a bundle, leaves the last good one in place; a trust domain that left the configuration goes at once.
 */
export async function openFederated(deps: FederationDeps): Promise<(signal: AbortSignal) => Promise<void>> {
  const good = new Map<string, TrustBundle>()
  await refreshFederated(deps, good)
  return async (signal) => {
    while (!signal.aborted) {
      await nextChange(deps, signal)
      if (!signal.aborted) await refreshFederated(deps, good)
    }
  }
}

/** When one of the files changes, and at the latest after {@link INTERVAL}. */
async function nextChange(deps: FederationDeps, signal: AbortSignal): Promise<void> {
  const touched = new AbortController()
  const watchers = deps.files().map(({ bundleFile }) => watchFolderOf(bundleFile, () => touched.abort()))
  await deps.clock.sleep(INTERVAL, AbortSignal.any([signal, touched.signal]))
  for (const watcher of watchers) watcher?.close()
}

async function refreshFederated(deps: FederationDeps, good: Map<string, TrustBundle>): Promise<void> {
  const wanted = deps.files()
  // Who took a trust domain out distrusts what was known of it, also when it comes back and its file cannot be read yet.
  for (const known of good.keys()) if (!wanted.some(({ trustDomain }) => trustDomain === known)) good.delete(known)
  for (const { trustDomain, bundleFile } of wanted) {
    try {
      good.set(trustDomain, parseBundle(await readBounded(bundleFile), trustDomain))
    } catch (err) {
      deps.log.warn(
        { trustDomain, file: bundleFile, err },
        "a federated bundle cannot be read; the last good one stays",
      )
    }
  }
  const bundles = wanted.flatMap(({ trustDomain }) => good.get(trustDomain) ?? [])
  try {
    await deps.publish(bundles)
  } catch (err) {
    deps.log.error({ err }, "federated bundles cannot be published; trying again")
  }
}

async function readBounded(path: string): Promise<string> {
  await using file = await open(path)
  const { size } = await file.stat()
  if (size > MAX_BUNDLE) throw new IdentityError("malformed", "bundle file is longer than 1 MiB")
  return await file.readFile("utf8")
}

const INTERVAL = 5000
const MAX_BUNDLE = 1024 * 1024
