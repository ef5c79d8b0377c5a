import type { IncomingHttpHeaders } from "node:http"
import { ERROR_CODES, IdentityError } from "../../core/errors.ts"
import { isJsonObject, type JsonObject, parseJsonObject } from "../../core/json.ts"

/** What the server's problem document says, as an error. Texts are bounded: they go to a terminal. */
export function refusalOf(status: number, headers: IncomingHttpHeaders, text: string): IdentityError {
  const problem = problemOf(text)
  const code = ERROR_CODES.find((known) => known === problem["code"])
  if (code === undefined) return notOurs(status)
  const retryAfter = Number(headers["retry-after"])
  const reason = textOf(problem["reason"])
  const next = textOf(problem["next"])
  return new IdentityError(code, textOf(problem["detail"]) ?? code, {
    ...(reason === undefined ? {} : { reason }),
    ...(next === undefined ? {} : { next }),
    ...(Number.isInteger(retryAfter) ? { retryAfter } : {}),
  })
}

/** Nothing was done yet: another operator has to approve it. @see ADM-21 */
export function waitingFor(text: string): IdentityError {
  const { proposal } = problemOf(text)
  const id = isJsonObject(proposal) ? (textOf(proposal["id"]) ?? "") : ""
  return new IdentityError("not-ready", `nothing is done yet: somebody else has to approve it (proposal ${id})`, {
    reason: "approval-needed",
    next: `another operator: assay approval approve ${id}`,
  })
}

function problemOf(text: string): JsonObject {
  try {
    return parseJsonObject(text)
  } catch {
    return {}
  }
}

/** Something answers there that has no such operation: an older server, or another program. */
function notOurs(status: number): IdentityError {
  return new IdentityError("unsupported", `the server answers ${status} to this operation`, {
    reason: "operation-unknown",
    next: "check that this is the server's listen.admin or admin socket, and compare its version (assay status) with that of assay here",
  })
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined
  // Nothing that a terminal would obey.
  return value.replace(/\p{Cc}/gu, " ").slice(0, MAX_TEXT)
}

const MAX_TEXT = 1024
