import { IdentityError, toIdentityError } from "../core/errors.ts"
import type { Millis } from "../core/time.ts"

/** What is used of the global `fetch`; a function of your own can bring its own trust, or proxy. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** An answer, whatever its status. */
export interface FetchedText {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export interface FetchRequest {
  readonly method: "GET" | "POST"
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * One https request: an answer of at most 512 KiB within 10 seconds, redirects not followed.
 * @throws IdentityError `malformed` for a URL that is not https; `not-ready`, `deadline` or `cancelled` when there is no answer
 */
export async function fetchBounded(
  fetch: Fetch,
  url: string,
  request: FetchRequest,
  signal: AbortSignal,
): Promise<FetchedText> {
  if (URL.parse(url)?.protocol !== "https:") throw new IdentityError("malformed", `"${url}" is not an https URL`)
  const late = AbortSignal.timeout(ANSWER)
  const both = AbortSignal.any([signal, late])
  try {
    const response = await fetch(url, { ...request, redirect: "error", signal: both })
    return { status: response.status, headers: response.headers, text: await readBounded(response) }
  } catch (thrown) {
    if (signal.aborted) throw new IdentityError("cancelled", "cancelled")
    if (late.aborted) throw new IdentityError("deadline", `${url} did not answer in time`)
    // A server that is not who it should be is no server, and says nothing about what was asked for.
    const { message, reason } = toIdentityError(thrown)
    const why = thrown instanceof IdentityError ? `: ${message}` : ""
    throw new IdentityError("not-ready", `${url} does not answer${why}`, { cause: thrown, ...(reason && { reason }) })
  }
}

async function readBounded({ body }: Response): Promise<string> {
  if (body === null) return ""
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > MAX_BODY) throw new IdentityError("not-ready", "an answer is longer than 512 KiB")
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

const ANSWER: Millis = 10_000
const MAX_BODY = 512 * 1024
