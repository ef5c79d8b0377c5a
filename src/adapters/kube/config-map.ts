import { IdentityError } from "../../core/errors.ts"
import { isJsonObject, type JsonObject, parseJsonObject } from "../../core/json.ts"
import { isForeignDiscovery, type PublishedDocument } from "../../core/oauth/publication.ts"
import type { PublicationTarget } from "../../ports/publication.ts"
import type { KubeEndpoint } from "./kube-endpoint.ts"
import { type KubeRequest, sendKubeRequest } from "./kube-request.ts"

export interface ConfigMapName {
  readonly namespace: string
  readonly name: string
}

/**
 * A ConfigMap with one key for each document, by the document's name. It is made when it is not there; other keys in it stay. Our own
 * credentials there need `get`, `create` and `patch` on it, nothing else. @see PUB-05
 */
export function makeConfigMapTarget(endpoint: KubeEndpoint, map: ConfigMapName): PublicationTarget {
  const path = `/api/v1/namespaces/${map.namespace}/configmaps/${map.name}`
  return {
    name: `${map.namespace}/${map.name}`,
    publish: async (documents, issuer, signal) => {
      const held = await readData(endpoint, path, signal)
      const other = Object.values(held).some((text) => typeof text === "string" && isForeignDiscovery(text, issuer))
      if (other)
        throw new IdentityError("already-exists", `ConfigMap ${map.namespace}/${map.name} is of another issuer`)
      if (documents.every(({ name, content }) => held[name] === content)) return "unchanged"
      await send(endpoint, { path, body: encodeMap(map, documents), applyAs: FIELD_MANAGER }, signal)
      return "written"
    },
  }
}

async function readData(endpoint: KubeEndpoint, path: string, signal: AbortSignal): Promise<JsonObject> {
  const reply = await send(endpoint, { path, body: undefined }, signal)
  if (reply === undefined) return {}
  const { data = {} } = parseJsonObject(reply)
  return isJsonObject(data) ? data : {}
}

/** The reply's body; `undefined` when there is no such ConfigMap. */
async function send(endpoint: KubeEndpoint, order: KubeRequest, signal: AbortSignal): Promise<string | undefined> {
  const { status, body } = await sendKubeRequest(endpoint, order, signal)
  if (status === 200 || status === 201) return body
  if (status === 404 && order.body === undefined) return undefined
  const what = `the API server answered with status ${status} for ${order.path}`
  throw new IdentityError("not-ready", what, { reason: "config-map-unusable" })
}

function encodeMap({ namespace, name }: ConfigMapName, documents: readonly PublishedDocument[]): string {
  const data = Object.fromEntries(documents.map((document) => [document.name, document.content]))
  return JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data })
}

const FIELD_MANAGER = "assay"
