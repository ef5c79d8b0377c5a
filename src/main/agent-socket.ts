import { chmod, lstat, unlink } from "node:fs/promises"
import { connect } from "node:net"
import { dirname, resolve } from "node:path"
import { makeFolder } from "../adapters/pem-files/make-folder.ts"
import { IdentityError } from "../core/errors.ts"
import type { Millis } from "../core/time.ts"
import type { Clock } from "../ports/clock.ts"

/**
 * Make way for a socket at `path`: its folder exists, and a socket that nobody listens on any more is removed. Nothing
 * else is. @returns the absolute path
 * @throws IdentityError `malformed` for a path that no socket can have, `already-exists` when something is in the way, `not-ready`,
 * reason `folder-unusable`, when its folder cannot be made @see AGT-40
 */
export async function prepareSocketPath(path: string): Promise<string> {
  const absolute = resolve(path)
  if (Buffer.byteLength(absolute) > MAX_SOCKET_PATH) {
    throw new IdentityError("malformed", `socket path is longer than ${MAX_SOCKET_PATH} bytes: ${absolute}`)
  }
  await makeFolder(dirname(absolute), 0o755).catch((cause: unknown) => {
    const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
    const message = `folder "${dirname(absolute)}" of the socket cannot be made${why}`
    throw new IdentityError("not-ready", message, { cause, reason: "folder-unusable" })
  })
  const found = await lstat(absolute).catch(ignoreMissing)
  if (found === undefined) return absolute
  if (!found.isSocket()) throw new IdentityError("already-exists", `${absolute} exists and is not a socket`)
  if (await isListening(absolute)) throw new IdentityError("already-exists", `another process listens on ${absolute}`)
  await unlink(absolute).catch(ignoreMissing)
  return absolute
}

/** Let those connect that the operator wants to. Until this, nobody but our own user can. @param mode permission bits */
export async function openSocketTo(path: string, mode: number): Promise<void> {
  await chmod(path, mode)
}

/**
 * Look after the socket at `path` until `signal` aborts. Nobody finds one that was taken away, or replaced, by its path any more, and it
 * cannot be put back. @throws IdentityError `not-ready` then @see AGT-49
 */
export async function demandSocket(path: string, clock: Pick<Clock, "sleep">, signal: AbortSignal): Promise<void> {
  const known = await socketAt(path)
  while (!signal.aborted) {
    await clock.sleep(LOOK_EVERY, signal)
    // What cannot be looked at may be as it was.
    const now = await socketAt(path).catch(() => known)
    if (signal.aborted || now === known) continue
    throw new IdentityError("not-ready", `the socket ${path} was taken away or replaced while it was served`, {
      next: "start the agent anew, which makes it again; find out what cleans that folder",
    })
  }
}

/** Which file that is; `undefined` when there is none. */
async function socketAt(path: string): Promise<string | undefined> {
  const found = await lstat(path, { bigint: true }).catch(ignoreMissing)
  return found && `${found.dev}:${found.ino}`
}

/** Whether somebody listens there, or may: one that is busy or that we may not speak to has not gone. */
export function isListening(path: string): Promise<boolean> {
  const { promise, resolve: settle } = Promise.withResolvers<boolean>()
  const socket = connect(path)
  socket.once("connect", () => {
    settle(true)
    socket.destroy()
  })
  // Refused means that its owner is gone. Whatever else is wrong with it, it is not ours to remove.
  socket.once("error", (error) => settle(!("code" in error && GONE.has(error.code))))
  return promise
}

function ignoreMissing(thrown: unknown): undefined {
  if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined
  throw thrown
}

const LOOK_EVERY: Millis = 2000
const GONE: ReadonlySet<unknown> = new Set(["ECONNREFUSED", "ENOENT"])
/** What a unix socket's address can hold, on Linux, without its final zero byte. */
const MAX_SOCKET_PATH = 107
