import { toIdentityError } from "../../core/errors.ts"
import type { Log, LogFields } from "../../ports/telemetry.ts"

/** The log of a command that a person runs: plain lines on standard error. */
export const stderrLog: Log = {
  debug: () => {},
  info: write,
  warn: write,
  error: write,
}

function write({ err, ...fields }: LogFields, message: string): void {
  const named = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`)
  const why = err === undefined ? "" : `: ${toIdentityError(err).message}`
  process.stderr.write(`assay: ${message}${named.join("")}${why}\n`)
}
