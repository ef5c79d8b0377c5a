import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { IdentityError } from "../../core/errors.ts"
import { isForeignDiscovery, type PublishedDocument } from "../../core/oauth/publication.ts"
import type { PublicationTarget } from "../../ports/publication.ts"
import { replaceFile } from "./replace-file.ts"

/**
 * A folder that a web server, or a tool which copies it to a bucket, takes the documents from. It must be there; folders in it are
 * made. Plain files without links, so that copying tools see what readers see. @see PUB-01 PUB-04
 */
export function openPublicFolder(directory: string): PublicationTarget {
  return {
    name: directory,
    publish: async (documents, issuer) => {
      try {
        await refuseOther(directory, documents, issuer)
        return await write(directory, documents)
      } catch (thrown) {
        throw thrown instanceof IdentityError ? thrown : unusable(directory, thrown)
      }
    },
  }
}

async function write(directory: string, documents: readonly PublishedDocument[]): Promise<"written" | "unchanged"> {
  let outcome: "written" | "unchanged" = "unchanged"
  for (const { paths, content } of documents) {
    for (const path of paths) if (await replaceFile(directory, path, content)) outcome = "written"
  }
  return outcome
}

/** Two issuers in one folder would take each other's keys away. */
async function refuseOther(directory: string, documents: readonly PublishedDocument[], issuer: string): Promise<void> {
  if (!(await stat(directory)).isDirectory()) throw new Error("not a folder")
  const paths = documents.filter(({ name }) => name !== "keys").flatMap((document) => document.paths)
  for (const path of paths) {
    if (!isForeignDiscovery(await readSmall(join(directory, path)), issuer)) continue
    throw new IdentityError("already-exists", `${join(directory, path)} is of another issuer; move it away`)
  }
}

/** Empty for what is not there, or can be no document of ours. */
async function readSmall(file: string): Promise<string> {
  const isSmall = await stat(file).then(
    (found) => found.isFile() && found.size <= MAX_DOCUMENT,
    () => false,
  )
  return isSmall ? readFile(file, "utf8") : ""
}

function unusable(directory: string, cause: unknown): IdentityError {
  const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
  const message = `folder "${directory}" cannot be written${why}`
  return new IdentityError("not-ready", message, { cause, reason: "folder-unusable" })
}

const MAX_DOCUMENT = 64 * 1024
