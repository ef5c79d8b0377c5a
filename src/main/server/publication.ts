import { makeConfigMapTarget } from "../../adapters/kube/config-map.ts"
import { openPublicFolder } from "../../adapters/public-folder/public-folder.ts"
import { type KeepPublishedDeps, keepPublished } from "../../app/deliver/keep-published.ts"
import type { PublicationTarget } from "../../ports/publication.ts"
import type { PublishConfig } from "../config/publish-schema.ts"
import { openApiServer } from "./clusters.ts"

/** The task that keeps every configured target current, each for itself. It ends when its signal aborts, and never rejects. */
export async function openPublication(
  configs: readonly PublishConfig[],
  deps: Omit<KeepPublishedDeps, "target">,
): Promise<(signal: AbortSignal) => Promise<void>> {
  const targets = await openPublicationTargets(configs)
  return async (signal) => {
    await Promise.all(targets.map((target) => keepPublished({ ...deps, target }, signal)))
  }
}

/** What the configuration publishes to, ready to be written; nothing is yet. */
export function openPublicationTargets(configs: readonly PublishConfig[]): Promise<readonly PublicationTarget[]> {
  return Promise.all(configs.map(openTarget))
}

async function openTarget(config: PublishConfig): Promise<PublicationTarget> {
  if (config.kind === "directory") return openPublicFolder(config.directory)
  return makeConfigMapTarget(await openApiServer(config.api), config)
}
