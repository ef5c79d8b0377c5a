import { readFile } from "node:fs/promises"
import type { RequestOptions } from "node:https"
import { dirname } from "node:path"
import { IdentityError } from "../../core/errors.ts"
import { fileTrouble } from "../../core/file-trouble.ts"
import type { Millis } from "../../core/time.ts"
import { type KubeCredentials, type KubeEndpoint, parseServerUrl } from "./kube-endpoint.ts"

/**
 * The endpoint that a kubeconfig names. The file is read again for each request; its server is fixed at start.
 * @param context `undefined`: the file's current context
 * @throws IdentityError `malformed` for a file without that context or with one that gives up TLS verification;
 * `not-ready`, reason `file-unreadable`
 */
export async function openKubeconfigEndpoint(file: string, context: string | undefined): Promise<KubeEndpoint> {
  const load = async () => {
    const text = await readFile(file, "utf8")
    // 62 MB on disk and 0.9 s to import: only for those who configure it.
    const { KubeConfig } = await import("@kubernetes/client-node")
    const config = new KubeConfig()
    config.loadFromString(text)
    config.makePathsAbsolute(dirname(file))
    if (context !== undefined) config.setCurrentContext(context)
    return config
  }
  const cluster = (await load().catch((thrown: unknown) => notLoaded(file, thrown))).getCurrentCluster()
  if (cluster === null)
    throw new IdentityError("malformed", `kubeconfig ${file} has no context "${context ?? "current-context"}"`)
  if (cluster.skipTLSVerify === true) {
    throw new IdentityError("malformed", `kubeconfig ${file} has insecure-skip-tls-verify, which is not accepted`)
  }
  return {
    server: parseServerUrl(cluster.server),
    credentials: shared(async () => {
      const options: RequestOptions = {}
      await (await load()).applyToHTTPSOptions(options)
      return readOptions(options)
    }),
  }
}

/** At start; later on it is the cluster that cannot be reached, and no path is told to whoever asks. */
function notLoaded(file: string, cause: unknown): never {
  if (cause instanceof Error && "syscall" in cause) throw fileTrouble(`kubeconfig ${file}`, cause)
  const next = "name a file as kubectl reads it, in which the context is that is meant"
  throw new IdentityError("malformed", `kubeconfig ${file} is none`, { cause, next })
}

/**
 * `read` for all who ask while it is under way: it may start a program, and whoever asks gives up on one that hangs. That one is left
 * to itself after a while, and another is started. @see ATT-15
 */
function shared(read: () => Promise<KubeCredentials>): () => Promise<KubeCredentials> {
  let reading: Promise<KubeCredentials> | undefined
  return () => {
    if (reading !== undefined) return reading
    const mine = read().finally(() => {
      clearTimeout(timer)
      forget()
    })
    const forget = (): void => {
      if (reading === mine) reading = undefined
    }
    const timer = setTimeout(forget, HANGS_AFTER).unref()
    reading = mine
    return mine
  }
}

function readOptions(options: RequestOptions): KubeCredentials {
  const headers = new Map<string, unknown>(Object.entries(options.headers ?? {}))
  const authorization = headers.get("Authorization") ?? headers.get("authorization")
  return {
    ca: asText(options.ca),
    authorization: typeof authorization === "string" ? authorization : basic(options.auth),
    cert: asText(options.cert),
    key: asText(options.key),
    serverName: options.servername,
  }
}

function basic(auth: string | null | undefined): string | undefined {
  return auth === null || auth === undefined ? undefined : `Basic ${Buffer.from(auth).toString("base64")}`
}

function asText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === "string") return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8")
  throw new IdentityError("malformed", "kubeconfig has a credential of a kind that is not supported")
}

const HANGS_AFTER: Millis = 60_000
