import { readFile } from "node:fs/promises"
import { IdentityError } from "../../core/errors.ts"

/** An API server, or another host that serves a cluster's keys, and how to speak to it. */
export interface KubeEndpoint {
  /** https, or http on a loopback address. Paths are added to its path. */
  readonly server: URL
  /** Read anew for each request, so that rotated tokens and CAs need no restart. */
  credentials(): Promise<KubeCredentials>
}

export interface KubeCredentials {
  /** PEM; `undefined`: the CAs that Node ships with. */
  readonly ca: string | undefined
  /** Value of the Authorization header. */
  readonly authorization: string | undefined
  /** PEM, for a client certificate. */
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Name that the server's certificate must have, when it is not the host of the URL. */
  readonly serverName: string | undefined
}

export interface FileEndpointOptions {
  readonly url: string
  readonly caFile: string | undefined
  /** A bearer token, as a pod finds it in its service-account volume. */
  readonly tokenFile: string | undefined
}

/** An endpoint whose CA and bearer token lie in files. @throws IdentityError `malformed` for a URL that is not allowed */
export function makeFileEndpoint({ url, caFile, tokenFile }: FileEndpointOptions): KubeEndpoint {
  const server = parseServerUrl(url)
  return {
    server,
    credentials: async () => ({
      ca: caFile === undefined ? undefined : await readFile(caFile, "utf8"),
      authorization: tokenFile === undefined ? undefined : `Bearer ${(await readFile(tokenFile, "utf8")).trim()}`,
      cert: undefined,
      key: undefined,
      serverName: undefined,
    }),
  }
}

/** https only, without credentials in it; http for a loopback address, where there is nobody in between. @see ATT-15 INV-20 */
export function parseServerUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null) throw new IdentityError("malformed", "cluster URL is not a URL")
  const plainLoopback = url.protocol === "http:" && LOOPBACK.test(url.hostname)
  if (url.protocol !== "https:" && !plainLoopback) throw new IdentityError("malformed", "cluster URL is not https")
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    throw new IdentityError("malformed", "cluster URL has user, password or fragment")
  }
  return url
}

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)$/
