import { access, constants, readdir, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { delimiter, join } from "node:path"

/**
 * An Envoy on this machine: the one that the tests keep for themselves, outside the checkout, else the one on the PATH.
 * @param environment of the process @returns the path of its binary, or `undefined`
 */
export async function findEnvoy(environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const onPath = (environment["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")
  const candidates = [...(await cached(cacheFolder(environment))), ...onPath.map((folder) => join(folder, "envoy"))]
  for (const file of candidates) {
    if (await isProgram(file)) return file
  }
  return undefined
}

/** Where `npm test` keeps the peers that it prepares. */
function cacheFolder(environment: NodeJS.ProcessEnv): string {
  const { ASSAY_PEER_CACHE: own, XDG_CACHE_HOME: xdg } = environment
  if (own !== undefined && own !== "") return own
  return join(xdg === undefined || xdg === "" ? join(homedir(), ".cache") : xdg, "assay-peers")
}

/** The Envoys in it, the one used last first. An entry is complete once it has its final name. */
async function cached(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((): string[] => [])
  const entries = await Promise.all(
    names
      .filter((name) => ENTRY.test(name))
      .map(async (name) => ({ path: join(folder, name), used: (await stat(join(folder, name))).mtimeMs })),
  )
  return entries.sort((a, b) => b.used - a.used).map(({ path }) => join(path, "envoy/_bin/envoy"))
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}

const ENTRY = /^envoy-[0-9a-f]{16}$/
