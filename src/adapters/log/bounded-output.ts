import type { Writable } from "node:stream"
import type { DestinationStream } from "pino"

/**
 * Lines on their way to whoever reads them. A pipe that nobody reads takes nothing more, and then lines wait in memory: once they are
 * more than 1 MiB, the next are lost, and how many is the first thing that is said when there is room again. @see IDA-33
 */
export class BoundedOutput implements DestinationStream {
  readonly #output: Pick<Writable, "write" | "writableLength">
  #lost = 0

  constructor(output: Pick<Writable, "write" | "writableLength">) {
    this.#output = output
  }

  write(line: string): void {
    if (this.#output.writableLength > MAX_WAITING) {
      this.#lost++
      return
    }
    if (this.#lost > 0) this.#output.write(lostLine(this.#lost))
    this.#lost = 0
    this.#output.write(line)
  }
}

/** As the others are. */
function lostLine(lost: number): string {
  const fields = {
    level: WARN,
    time: new Date().toISOString(),
    lost,
    msg: "lines of this log were lost: nobody read it",
  }
  return `${JSON.stringify(fields)}\n`
}

const WARN = 40
/** Bytes. */
const MAX_WAITING = 1024 * 1024
