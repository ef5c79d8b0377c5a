import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, rm } from "node:fs/promises"
import { constants, setPriority } from "node:os"
import { adopt, cacheFolder, entryFolder, isCached, prune, scratchFolder } from "./cache.ts"
import { inputsFolder, type PeerName, type Recipe, recipeOf } from "./catalog.ts"
import { acquireLock } from "./lock.ts"
import { missingToolchain } from "./toolchain.ts"

/** What became of one peer. */
export type Preparation =
  | { readonly outcome: "cached"; readonly folder: string }
  | { readonly outcome: "built"; readonly folder: string; readonly millis: number }
  | { readonly outcome: "missing"; readonly toolchain: string }

/**
 * Have a peer in the cache, building it when it is not there. Each step runs once; nothing is retried. Safe to run in
 * several processes at once.
 * @throws Error with the output of the step that failed
 */
export async function preparePeer(name: PeerName, signal: AbortSignal): Promise<Preparation> {
  const recipe = recipeOf(name)
  const missing = await missingToolchain(recipe.toolchain)
  if (missing !== undefined) return { outcome: "missing", toolchain: missing }
  const folder = await entryFolder(name, recipe)
  if (await isCached(folder)) return { outcome: "cached", folder }
  await mkdir(cacheFolder(), { recursive: true })
  const begin = performance.now()
  await using _lock = await acquireLock(folder, LOCK_WAIT_MILLIS, signal)
  if (!(await isCached(folder))) await build(recipe, folder, signal)
  await prune(name)
  return { outcome: "built", folder, millis: performance.now() - begin }
}

async function build(recipe: Recipe, folder: string, signal: AbortSignal): Promise<void> {
  const scratch = scratchFolder(folder)
  await mkdir(scratch)
  try {
    for (const step of recipe.steps) await runStep(step, scratch, inputsFolder(recipe), signal)
  } catch (failure) {
    await rm(scratch, { recursive: true, force: true })
    throw failure
  }
  await adopt(scratch, folder)
}

async function runStep(step: readonly string[], out: string, cwd: string, signal: AbortSignal): Promise<void> {
  const [command = "", ...args] = step.map((word) => word.replaceAll("{out}", out))
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(STEP_MILLIS)])
  const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: goFlags(), PIP_DISABLE_PIP_VERSION_CHECK: "1" }
  const child = spawn(command, args, { cwd, env, signal: bounded, stdio: ["ignore", "pipe", "pipe"] })
  // Builds give way to the tests that run meanwhile.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
  let tail = ""
  const keep = (chunk: string) => {
    tail = (tail + chunk).slice(-TAIL_CHARACTERS)
  }
  child.stdout.setEncoding("utf8").on("data", keep)
  child.stderr.setEncoding("utf8").on("data", keep)
  const [code]: unknown[] = await once(child, "close")
  if (code !== 0) throw new Error(`\`${[command, ...args].join(" ")}\` ended with ${String(code)}:\n${tail}`)
}

/** The flags of the machine, and no stamp of our version control, which would change with every commit. */
function goFlags(): string {
  const flags = process.env["GOFLAGS"] ?? ""
  return flags.includes("-buildvcs") ? flags : `${flags} -buildvcs=false`.trim()
}

const STEP_MILLIS = 40 * 60_000
const LOCK_WAIT_MILLIS = 45 * 60_000
const TAIL_CHARACTERS = 4_000
