import { createHash, randomUUID } from "node:crypto"
import { readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises"
import { homedir } from "node:os"
import { join } from "node:path"
import { inputsFolder, type PeerName, type Recipe } from "./catalog.ts"
import { toolchainVersion } from "./toolchain.ts"

/** Where peers are kept: outside the checkout, so that checkouts share them and `git clean` does not cost ten minutes. */
export function cacheFolder(): string {
  const own = process.env["ASSAY_PEER_CACHE"]
  if (own !== undefined && own !== "") return own
  const xdg = process.env["XDG_CACHE_HOME"]
  return join(xdg === undefined || xdg === "" ? join(homedir(), ".cache") : xdg, "assay-peers")
}

/** The folder of a peer: its name and a digest of the recipe, of every input file and of the platform. */
export async function entryFolder(name: PeerName, recipe: Recipe): Promise<string> {
  const digest = createHash("sha256")
  digest.update(JSON.stringify([FORMAT, recipe.steps, await toolchainVersion(recipe.toolchain)]))
  for (const file of await inputFiles(inputsFolder(recipe))) {
    const bytes = await readFile(join(inputsFolder(recipe), file))
    digest.update(`\0${file}\0${bytes.length}\0`).update(bytes)
  }
  return join(cacheFolder(), `${name}-${digest.digest("hex").slice(0, 16)}`)
}

/** True when the entry is complete. Entries appear by rename only, so a folder that exists is whole. */
export async function isCached(folder: string): Promise<boolean> {
  const now = new Date()
  return await utimes(folder, now, now).then(
    () => true,
    () => false,
  )
}

/** A folder beside the entry to build in. */
export function scratchFolder(folder: string): string {
  return `${folder}.tmp-${randomUUID()}`
}

/** Make a finished scratch folder the entry. When another process was first, its entry stays. */
export async function adopt(scratch: string, folder: string): Promise<void> {
  try {
    await rename(scratch, folder)
  } catch (failure) {
    await rm(scratch, { recursive: true, force: true })
    if (!(await isCached(folder))) throw failure
  }
}

/** Keep the {@link KEPT_ENTRIES} entries of a peer that were used last, and no abandoned scratch folder. */
export async function prune(name: PeerName): Promise<void> {
  const cache = cacheFolder()
  const names = await readdir(cache)
  const entries: { path: string; used: number }[] = []
  for (const entry of names.filter((each) => new RegExp(`^${name}-[0-9a-f]{16}`).test(each))) {
    const path = join(cache, entry)
    const used = (await stat(path).catch(() => undefined))?.mtimeMs ?? 0
    if (!entry.includes(".")) entries.push({ path, used })
    else if (Date.now() - used > ABANDONED_MILLIS) await rm(path, { recursive: true, force: true })
  }
  entries.sort((a, b) => b.used - a.used)
  for (const { path } of entries.slice(KEPT_ENTRIES)) await rm(path, { recursive: true, force: true })
}

async function inputFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".py") && !entry.parentPath.includes("__pycache__"))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

/** Grows when the meaning of an entry changes without its recipe. */
const FORMAT = 1
const KEPT_ENTRIES = 4
const ABANDONED_MILLIS = 24 * 3600 * 1000
