import { open } from "node:fs/promises"
import { IdentityError } from "../../core/errors.ts"
import { fileTrouble } from "../../core/file-trouble.ts"
import type { JwksSource } from "./jwks-keys.ts"
import type { KubeEndpoint } from "./kube-endpoint.ts"
import { sendKubeRequest } from "./kube-request.ts"

/** A JWK Set at the URL of the endpoint itself. */
export function makeUrlJwksSource(endpoint: KubeEndpoint): JwksSource {
  return makeHttpSource(endpoint, "")
}

/** The JWK Set that an API server publishes of its own keys. */
export function makeClusterJwksSource(endpoint: KubeEndpoint): JwksSource {
  return makeHttpSource(endpoint, "/openid/v1/jwks")
}

/** A JWK Set in a file of at most 512 KiB. A change is seen within 5 s, and at once when a token names a new key. */
export function makeFileJwksSource(path: string): JwksSource {
  return {
    lifetime: 5,
    cooldown: 1,
    read: () =>
      readSmall(path).catch((thrown: unknown) => {
        throw thrown instanceof IdentityError ? thrown : fileTrouble(`JWKS file ${path}`, thrown)
      }),
  }
}

async function readSmall(path: string): Promise<string> {
  await using file = await open(path)
  const { size } = await file.stat()
  if (size > MAX_FILE) throw new IdentityError("malformed", `JWKS file ${path} is longer than 512 KiB`)
  return await file.readFile("utf8")
}

function makeHttpSource(endpoint: KubeEndpoint, path: string): JwksSource {
  return {
    lifetime: 300,
    cooldown: 30,
    read: async (signal) => {
      const { status, body } = await sendKubeRequest(endpoint, { path, body: undefined }, signal)
      if (status !== 200) throw new IdentityError("attestor-down", `the JWKS endpoint answered with status ${status}`)
      return body
    },
  }
}

const MAX_FILE = 512 * 1024
