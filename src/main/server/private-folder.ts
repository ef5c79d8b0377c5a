import { open } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { makeFolder } from "../../adapters/pem-files/make-folder.ts"
import { IdentityError } from "../../core/errors.ts"

/**
 * Make a folder, and those above it that are missing, for this user alone (0700); durable when it resolves. One that is there
 * stays as it is. @param key of the configuration, for messages @throws IdentityError `not-ready`, reason `folder-unusable`
 */
export async function makePrivateFolder(folder: string, key: string): Promise<void> {
  try {
    for (const made of await makeFolder(resolve(folder), 0o700)) await sync(dirname(made))
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
