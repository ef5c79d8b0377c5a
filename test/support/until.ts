import { setTimeout as delay } from "node:timers/promises"

/** Wait until `reached` is true. @param pause from one look to the next, longer where looking costs much @throws Error when it is not within `millis` */
export async function until(
  what: string,
  reached: () => boolean | Promise<boolean>,
  millis = 30_000,
  pause = 5,
): Promise<void> {
  const deadline = performance.now() + millis
  while (!(await reached())) {
    if (performance.now() > deadline) throw new Error(`waited ${millis} ms for ${what}`)
    await delay(pause)
  }
}
