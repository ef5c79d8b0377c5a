import { request } from "node:https"

/** Talks to an API server as one user. Plain HTTPS: the client under test must not be the one that sets the stage. */
export class KubeApi {
  readonly #url: string
  readonly #ca: string
  readonly #token: string

  constructor(url: string, ca: string, token: string) {
    this.#url = url
    this.#ca = ca
    this.#token = token
  }

  /** @throws KubeApiError unless the answer is 2xx */
  async call(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<KubeObject> {
    const { status, text } = await this.raw(method, path, body)
    if (status < 200 || status > 299) throw new KubeApiError(method, path, status, text)
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== "object" || parsed === null) throw new TypeError(`${path} answered no object: ${text}`)
    return parsed
  }

  /** Whatever the answer is. */
  raw(method: string, path: string, body?: object): Promise<{ readonly status: number; readonly text: string }> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? "" : JSON.stringify(body)
      // Said explicitly: Node leaves the length of a DELETE's body out, and the API server then ignores the body.
      const length = String(Buffer.byteLength(payload))
      const headers: Record<string, string> = { "content-type": "application/json", "content-length": length }
      if (this.#token !== "") headers["authorization"] = `Bearer ${this.#token}`
      const options = { method, headers, ca: this.#ca, agent: false, timeout: CALL_MILLIS }
      const call = request(`${this.#url}${path}`, options, (reply) => {
        let text = ""
        reply.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk
        })
        reply.on("end", () => resolve({ status: reply.statusCode ?? 0, text })).on("error", reject)
      })
      call.on("timeout", () => call.destroy(new Error(`${method} ${path}: no answer`))).on("error", reject)
      call.end(payload)
    })
  }
}

/** Any JSON object of the API server; what a test needs of it is picked with {@link textAt}. */
export type KubeObject = object

/** The string at a path of keys. @throws TypeError when there is none */
export function textAt(object: KubeObject, ...path: readonly string[]): string {
  let value: unknown = object
  for (const key of path) value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  if (typeof value !== "string") throw new TypeError(`no text at ${path.join(".")} in ${JSON.stringify(object)}`)
  return value
}

export class KubeApiError extends Error {
  override readonly name = "KubeApiError"
  readonly status: number

  constructor(method: string, path: string, status: number, text: string) {
    super(`${method} ${path}: ${status} ${text}`)
    this.status = status
  }
}

const CALL_MILLIS = 30_000
