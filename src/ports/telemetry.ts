/** Structured log. The first argument never holds a token or a key; the adapter redacts what slips through. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

/** Texts, numbers and booleans; `err` is a thrown value, and its cause chain is logged. */
export interface LogFields {
  readonly err?: unknown
  readonly [name: string]: unknown
}
