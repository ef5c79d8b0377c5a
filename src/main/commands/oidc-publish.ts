import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { openPublicFolder } from "../../adapters/public-folder/public-folder.ts"
import { hasPublishablePath, publishedDocuments } from "../../core/oauth/publication.ts"
import type { PublicationTarget } from "../../ports/publication.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig, type ServerConfig } from "../config/server-config.ts"
import { openPublicationTargets } from "../server/publication.ts"
import { storedBundle } from "../server/stored-bundle.ts"
import { noIssuer } from "./no-issuer.ts"

interface PublishOptions {
  readonly config: string
  readonly directory?: string
}

/** `assay oidc publish`: each target is tried; the first failure is the command's. @see PUB-07 */
export async function publishOnce({ config: file, directory }: PublishOptions): Promise<void> {
  const config = await loadServerConfig(file, makeCelConditions().compile)
  if (config.oauth === undefined) throw noIssuer()
  const { issuer, endpoints = issuer } = config.oauth
  if (!hasPublishablePath(issuer)) throw new UsageError("the path of oauth.issuer cannot be that of a file")
  const targets = await targetsOf(directory, config.oauth)
  const documents = publishedDocuments({ issuer, endpoints }, storedBundle(config).jwtAuthorities)
  const signal = new AbortController().signal
  const failures: unknown[] = []
  for (const target of targets) {
    try {
      process.stdout.write(`${target.name}: ${await target.publish(documents, issuer, signal)}\n`)
    } catch (thrown) {
      failures.push(thrown)
    }
  }
  if (failures.length > 0) throw failures[0]
}

async function targetsOf(
  directory: string | undefined,
  { publish }: NonNullable<ServerConfig["oauth"]>,
): Promise<readonly PublicationTarget[]> {
  if (directory !== undefined) return [openPublicFolder(directory)]
  if (publish.length === 0) throw new UsageError("nothing is configured under oauth.publish; say --directory")
  return openPublicationTargets(publish)
}
