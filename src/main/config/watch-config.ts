import { readFile } from "node:fs/promises"
import { systemClock } from "../../adapters/system/clock.ts"
import { toIdentityError } from "../../core/errors.ts"
import type { CompileCondition } from "../../core/rules/condition.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Log } from "../../ports/telemetry.ts"
import { diffConfigs } from "./config-diff.ts"
import { ConfigError } from "./problem.ts"
import { parseServerConfig, type ServerConfig } from "./server-config.ts"
import { watchFolderOf } from "./watch-folder.ts"

/** What became of one look at a changed file, for metrics. */
export type ReloadOutcome = "adopted" | "refused" | "needs-restart"

export interface WatchConfigDeps {
  readonly file: string
  /** In force when watching begins. */
  readonly current: ServerConfig
  readonly compile: CompileCondition
  readonly log: Log
  /** Puts a configuration into force as a whole; when it fails, the one before stays. */
  readonly adopt: (config: ServerConfig) => void | Promise<void>
  readonly onOutcome?: (outcome: ReloadOutcome) => void
  /** Default: of this machine. */
  readonly clock?: Clock
  /** Tells of SIGHUP. Default: this process. */
  readonly hangups?: Pick<NodeJS.EventEmitter, "on" | "off">
}

/**
 * Adopt each good change of the file until `signal` aborts: at SIGHUP, when its folder changes (which is how a mounted ConfigMap
 * is swapped), and at the latest after 10 s. A file is adopted as a whole or not at all. @see CFG-14 CFG-15 CFG-16
 */
export async function watchServerConfig(deps: WatchConfigDeps, signal: AbortSignal): Promise<void> {
  const { hangups = process, clock = systemClock } = deps
  const reload = makeReload(deps)
  const bell = new Bell()
  const hangup = () => bell.ring(true)
  hangups.on("SIGHUP", hangup)
  try {
    while (!signal.aborted) {
      const forced = bell.answer()
      // Before the look, so that a change is seen by one or the other.
      const watcher = watchFolderOf(deps.file, () => bell.ring(false))
      await reload(forced)
      await bell.rung(clock, signal)
      watcher?.close()
    }
  } finally {
    hangups.off("SIGHUP", hangup)
  }
}

/** @returns tries the file again if it changed since the last try, if that failed for another reason than the file, or if `forced` */
function makeReload(deps: WatchConfigDeps) {
  let { current } = deps
  let seen: string | undefined
  let failed: string | undefined
  return async (forced: boolean): Promise<void> => {
    const text = await readFile(deps.file, "utf8").catch((err: unknown) => ({ err }))
    // An unreadable file is said once, not at each look.
    const content = typeof text === "string" ? text : UNREADABLE
    const before = content === seen && !forced ? failed : undefined
    if (content === seen && before === undefined && !forced) return
    seen = content
    failed = undefined
    try {
      if (typeof text !== "string") throw text.err
      current = await adoptChange(deps, current, parseServerConfig(text, deps.file, deps.compile))
    } catch (err) {
      // What is not there yet, such as a kubeconfig, may come without a change of this file. It is said once, too.
      if (typeof text === "string" && !(err instanceof ConfigError)) failed = String(err)
      if (failed !== undefined && failed === before) return
      deps.log.error(
        { err, why: toIdentityError(err).message },
        "configuration refused; the last good one stays in force",
      )
      deps.onOutcome?.("refused")
    }
  }
}

/** @returns what is in force afterwards */
async function adoptChange(deps: WatchConfigDeps, current: ServerConfig, next: ServerConfig): Promise<ServerConfig> {
  const { reloadable, needsRestart } = diffConfigs(current, next)
  if (needsRestart.length > 0) {
    deps.log.warn({ keys: needsRestart.join(" ") }, "configuration not adopted: these keys need a restart")
    deps.onOutcome?.("needs-restart")
    return current
  }
  if (reloadable.length === 0) return current
  await deps.adopt(next)
  deps.log.info({ keys: reloadable.join(" "), revision: next.rules.revision }, "configuration adopted")
  deps.onOutcome?.("adopted")
  return next
}

/** Collects reasons to look at the file again. */
class Bell {
  #forced = false
  #wake: (() => void) | undefined
  #rung = false

  ring(forced: boolean): void {
    this.#forced ||= forced
    this.#rung = true
    this.#wake?.()
  }

  /** Forget what rang so far. True when it was a demand. */
  answer(): boolean {
    const forced = this.#forced
    this.#forced = false
    this.#rung = false
    return forced
  }

  /** Resolves a moment after the bell rang (writers often write in steps), or when it is time to look anyway. */
  async rung(clock: Clock, signal: AbortSignal): Promise<void> {
    const awake = new AbortController()
    this.#wake = () => awake.abort()
    if (!this.#rung) await clock.sleep(LOOK_EVERY, AbortSignal.any([signal, awake.signal]))
    this.#wake = undefined
    if (this.#rung && !this.#forced) await clock.sleep(SETTLE, signal)
  }
}

const LOOK_EVERY = 10_000
const SETTLE = 200
const UNREADABLE = "\0unreadable"
