import type { SQLOutputValue } from "node:sqlite"

/** A row as node:sqlite returns it. What follows reads one column and refuses another type: the store is then not ours. */
export type SqlRow = Readonly<Record<string, SQLOutputValue>>

export function textOf(row: SqlRow | undefined, column: string): string {
  const value = row?.[column]
  if (typeof value !== "string") throw new TypeError(`store: column ${column} is not text`)
  return value
}

export function integerOf(row: SqlRow | undefined, column: string): number {
  const value = row?.[column]
  if (typeof value !== "number") throw new TypeError(`store: column ${column} is not an integer`)
  return value
}

export function bytesOf(row: SqlRow | undefined, column: string): Uint8Array {
  const value = row?.[column]
  if (!(value instanceof Uint8Array)) throw new TypeError(`store: column ${column} is not bytes`)
  return value
}

export function optionalBytesOf(row: SqlRow | undefined, column: string): Uint8Array | undefined {
  return row?.[column] === null ? undefined : bytesOf(row, column)
}

export function optionalIntegerOf(row: SqlRow | undefined, column: string): number | undefined {
  return row?.[column] === null ? undefined : integerOf(row, column)
}
