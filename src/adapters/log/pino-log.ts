import { type DestinationStream, pino } from "pino"
import type { Log, LogFields } from "../../ports/telemetry.ts"

export type LogLevel = "debug" | "info" | "warn" | "error"

export interface PinoLog extends Log {
  /** Change what is logged from now on. */
  setLevel(level: LogLevel): void
}

/**
 * JSON lines. `err` is written with its cause chain but without stacks of expected failures; what looks like a token or a
 * PEM block is replaced, as a second line of defence behind the rule that nobody logs one. @see INV-33
 */
export function openLog(level: LogLevel, destination: DestinationStream): PinoLog {
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  const write = (line: "debug" | "info" | "warn" | "error") => (fields: LogFields, message: string) => {
    if (!logger.isLevelEnabled(line)) return
    const { err, ...rest } = fields
    logger[line](err === undefined ? clean(rest) : { ...clean(rest), error: describe(err, 0) }, scrub(message))
  }
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    setLevel: (next) => {
      logger.level = next
    },
  }
}

function clean(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === "string" ? scrub(value) : value]),
  )
}

function describe(thrown: unknown, depth: number): unknown {
  if (!(thrown instanceof Error)) return scrub(String(thrown))
  const { name, message, cause } = thrown
  const code: unknown = "code" in thrown ? thrown.code : undefined
  const inner = cause === undefined || depth === MAX_CAUSES ? undefined : describe(cause, depth + 1)
  const stack = name === "IdentityError" ? undefined : scrub(thrown.stack ?? "")
  return { name, message: scrub(message), code, stack, cause: inner }
}

function scrub(text: string): string {
  return text.replace(JWT, "[token]").replace(PEM, "[pem]")
}

const JWT = /\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*/g
const PEM = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*-----)?/g
const MAX_CAUSES = 5
