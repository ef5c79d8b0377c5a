/** Structured log. The first argument never holds a token or a key; the adapter redacts what slips through. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

/** `err` is a thrown value; its cause chain is logged. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>> & { readonly err?: unknown }
