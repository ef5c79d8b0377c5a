import { mkdir, open } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { IdentityError } from "../../core/errors.ts"

/**
 * Make a folder, and those above it that are missing, for this user alone (0700); durable when it resolves. One that is there
 * stays as it is. @param key of the configuration, for messages @throws IdentityError `not-ready`, reason `folder-unusable`
 */
export async function makePrivateFolder(folder: string, key: string): Promise<void> {
  try {
    const first = await mkdir(resolve(folder), { recursive: true, mode: 0o700 })
    if (first === undefined) return
    for (let made = resolve(folder); made.length >= first.length; made = dirname(made)) await sync(dirname(made))
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
    const message = `folder "${folder}" of ${key} cannot be made${why}`
    throw new IdentityError("not-ready", message, { cause, reason: "folder-unusable" })
  }
}

/** Make the names in a folder durable. */
async function sync(folder: string): Promise<void> {
  await using handle = await open(folder, "r")
  await handle.sync()
}
