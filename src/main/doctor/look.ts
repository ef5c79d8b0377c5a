import { constants } from "node:fs"
import { access, stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import type { FailedLook, Look } from "../../core/doctor/facts.ts"
import { type ErrorCode, IdentityError } from "../../core/errors.ts"
import { nextStepOf, UsageError } from "../command-failure.ts"
import { ConfigError } from "../config/problem.ts"

/** Whatever is wrong becomes what is seen: a doctor does not fail because the patient is ill. @throws UsageError */
export async function look<Seen>(at: () => Seen | Promise<Seen>): Promise<Look<Seen>> {
  try {
    return { kind: "seen", seen: await at() }
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    return { kind: "failed", ...reasonOf(thrown) }
  }
}

/**
 * The same of a file, or folder, of the server. One that is another user's and closed to this one is said to be that, since nobody
 * knows more: the server may well use it. @param mode as of `access()` @see ADM-38
 */
export async function lookAtFile<Seen>(
  file: string,
  mode: number,
  at: () => Seen | Promise<Seen>,
): Promise<Look<Seen>> {
  const code = await access(file, mode).then(() => undefined, codeOf)
  if (code !== "EACCES" && code !== "EPERM") return look(at)
  const owner = await ownerOf(resolve(file))
  const user = process.getuid?.()
  if (owner === undefined || owner === user) return look(at)
  const verb = (mode & constants.W_OK) === 0 ? "read" : "write"
  return {
    kind: "failed",
    forbidden: true,
    why: `not looked at: user ${user} may not ${verb} ${file}, which belongs to user ${owner}`,
    next: `run it as root or as user ${owner}, and as the user of assay server if that is another one`,
  }
}

/** The user of the file, or of the nearest folder above it that can be seen. */
async function ownerOf(file: string): Promise<number | undefined> {
  const seen = await stat(file).catch(() => undefined)
  if (seen !== undefined) return seen.uid
  return dirname(file) === file ? undefined : ownerOf(dirname(file))
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined
}

function reasonOf(thrown: unknown): Omit<FailedLook, "kind"> {
  if (thrown instanceof ConfigError) return { why: thrown.message }
  if (thrown instanceof IdentityError) {
    const cause =
      thrown.code === "attestor-down" && thrown.cause instanceof Error
        ? ` (${thrown.cause.message.slice(0, MAX_CAUSE)})`
        : ""
    const step = nextStepOf(thrown)
    const next = step === undefined ? {} : { next: step }
    return { why: `${thrown.message}${cause}`, ...next, ...(REFUSALS.has(thrown.code) ? { refused: true } : {}) }
  }
  const isForbidden = codeOf(thrown) === "EACCES"
  const next = isForbidden
    ? { next: "run it as root or as the user of assay server, or let that user have the file" }
    : {}
  return { why: thrown instanceof Error ? thrown.message : "cannot be looked at", ...next }
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["policy-denied", "unauthenticated"])
const MAX_CAUSE = 200
