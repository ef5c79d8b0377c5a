import { z } from "zod"
import type { ReviewSource } from "./cluster-schema.ts"
import { clusterUrl, path, text } from "./values.ts"

/** A place from which the documents of the issuer are served. */
export type PublishConfig =
  | { readonly kind: "directory"; readonly directory: string }
  | { readonly kind: "config-map"; readonly namespace: string; readonly name: string; readonly api: ReviewSource }

const configMap = z
  .strictObject({
    namespace: objectName(63).describe("Namespace of the ConfigMap."),
    name: objectName(253).describe("Its name. It is made when it is not there, and keys in it that are not ours stay."),
    url: clusterUrl().optional().describe("https URL of the API server, without path. Default: that of the own pod."),
    ca_file: path().optional().describe("PEM roots that the server at url is verified by. Default: the system's."),
    token_file: path()
      .optional()
      .describe("Bearer token that may get, create and patch the ConfigMap, read again for each request."),
    kubeconfig: path().optional().describe("kubeconfig with which it is written. Excludes url."),
    context: text(253).optional().describe("Context of the kubeconfig. Default: its current one."),
  })
  .transform((raw, context): PublishConfig => {
    const { namespace, name, url, kubeconfig } = raw
    const wrong = misfit(raw)
    if (wrong !== undefined) {
      context.addIssue({ code: "custom", message: wrong })
      return z.NEVER
    }
    const common = { kind: "config-map" as const, namespace, name }
    if (kubeconfig !== undefined) {
      return { ...common, api: { kind: "kubeconfig", file: kubeconfig, context: raw.context } }
    }
    if (url === undefined) return { ...common, api: OWN_POD }
    return { ...common, api: { kind: "url", url, caFile: raw.ca_file, tokenFile: raw.token_file } }
  })
  .describe("A ConfigMap with one key for each document, written through the API server of a cluster.")

/** @see PUB-06 */
export const publishSchema = z
  .strictObject({
    directory: path()
      .optional()
      .describe("Folder that is served at the root of the issuer's host, or copied to a bucket. It must be there."),
    config_map: configMap.optional(),
  })
  .transform((raw, context): PublishConfig => {
    const { directory, config_map } = raw
    if (directory !== undefined && config_map === undefined) return { kind: "directory", directory }
    if (directory === undefined && config_map !== undefined) return config_map
    context.addIssue({ code: "custom", message: "needs exactly one of directory and config_map" })
    return z.NEVER
  })
  .describe("A place to write discovery and keys to at each change: exactly one of directory and config_map.")

interface ApiServer {
  readonly url?: string | undefined
  readonly ca_file?: string | undefined
  readonly token_file?: string | undefined
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
}

function misfit({ url, ca_file, token_file, kubeconfig, context }: ApiServer): string | undefined {
  if (url !== undefined && kubeconfig !== undefined) return "url and kubeconfig exclude each other"
  if (url === undefined && (ca_file ?? token_file) !== undefined)
    return "ca_file and token_file have no meaning without url"
  if (kubeconfig === undefined && context !== undefined) return "context has no meaning without kubeconfig"
  return undefined
}

function objectName(max: number) {
  return text(max).regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, "must be a name of Kubernetes: a-z 0-9 . -")
}

/** As every pod finds it. */
const OWN_POD: ReviewSource = {
  kind: "url",
  url: "https://kubernetes.default.svc",
  caFile: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
  tokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token",
}
