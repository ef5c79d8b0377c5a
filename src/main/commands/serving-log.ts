import { BoundedOutput } from "../../adapters/log/bounded-output.ts"
import { type LogLevel, openLog, type PinoLog } from "../../adapters/log/pino-log.ts"

/** The log of a process that serves, on standard error. A line that cannot be written is lost, and nothing else. @see IDA-33 */
export function openServingLog(level: LogLevel): PinoLog {
  process.stderr.on("error", () => undefined) // of a disk that is full, or a reader that went away
  return openLog(level, new BoundedOutput(process.stderr))
}
