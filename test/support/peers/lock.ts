import { randomUUID } from "node:crypto"
import { open, rename, rm, stat, utimes } from "node:fs/promises"
import { setTimeout as delay } from "node:timers/promises"

/**
 * Hold `<path>.lock` for a while, so that two processes do not build the same thing at once. It saves work only: results
 * appear by rename, so even two holders cannot harm each other. The holder renews the file's time; a file that nobody
 * renewed for {@link STALE_MILLIS} is left over from a killed process and is taken over.
 * @throws Error when the lock cannot be had within `waitMillis`
 */
export async function acquireLock(path: string, waitMillis: number, signal: AbortSignal): Promise<AsyncDisposable> {
  const file = `${path}.lock`
  const deadline = Date.now() + waitMillis
  while (!(await create(file))) {
    if (Date.now() > deadline) throw new Error(`${file} was held by another process for ${waitMillis / 1000} s`)
    await removeStale(file)
    await delay(POLL_MILLIS, undefined, { signal })
  }
  const renewal = setInterval(() => void touch(file), RENEW_MILLIS)
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(renewal)
      await rm(file, { force: true })
    },
  }
}

async function create(file: string): Promise<boolean> {
  try {
    await (await open(file, "wx")).close()
    return true
  } catch (failure) {
    if (failure instanceof Error && "code" in failure && failure.code === "EEXIST") return false
    throw failure
  }
}

async function removeStale(file: string): Promise<void> {
  const seen = await stat(file).catch(() => undefined)
  if (seen === undefined || Date.now() - seen.mtimeMs < STALE_MILLIS) return
  // Renamed first: of several processes that saw it stale, one gets it.
  const aside = `${file}.${randomUUID()}`
  await rename(file, aside).catch(() => undefined)
  await rm(aside, { force: true })
}

async function touch(file: string): Promise<void> {
  const now = new Date()
  await utimes(file, now, now).catch(() => undefined)
}

const POLL_MILLIS = 250
const RENEW_MILLIS = 5_000
const STALE_MILLIS = 60_000
