import { request } from "node:https"
import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"

/**
 * GET an https URL: at most 1 MiB within `timeout`, status 200, redirects not followed.
 * @param ca PEM roots; `undefined` for those of the system
 * @throws IdentityError `not-ready`
 */
export async function fetchDocument(
  url: string,
  ca: string | undefined,
  timeout: Millis,
  signal: AbortSignal,
): Promise<string> {
  if (URL.parse(url)?.protocol !== "https:") throw new IdentityError("not-ready", "not an https URL")
  try {
    return await fetchOnce(url, ca, AbortSignal.any([signal, AbortSignal.timeout(timeout)]))
  } catch (cause) {
    if (signal.aborted) throw new IdentityError("cancelled", "cancelled")
    if (cause instanceof IdentityError) throw cause
    throw new IdentityError("not-ready", "cannot be fetched", { cause })
  }
}

function fetchOnce(url: string, ca: string | undefined, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const options = { agent: false, minVersion: "TLSv1.2", maxHeaderSize: MAX_HEADERS, signal } as const
  const call = request(url, ca === undefined ? options : { ...options, ca }, (response) => {
    if (response.statusCode !== 200) {
      response.destroy()
      return reject(new IdentityError("not-ready", `answered with status ${response.statusCode}`))
    }
    const chunks: Buffer[] = []
    let size = 0
    response.on("data", (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BODY) response.destroy(new IdentityError("not-ready", "answer is longer than 1 MiB"))
      else chunks.push(chunk)
    })
    response.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")))
    response.once("error", reject)
  })
  call.once("error", reject)
  call.end()
  return promise
}

const MAX_BODY = 1024 * 1024
const MAX_HEADERS = 16 * 1024
