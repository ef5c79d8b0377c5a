import { setImmediate } from "node:timers/promises"
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads"
import { IdentityError } from "../../core/errors.ts"
import type { SqlRow } from "./sql-row.ts"

/**
 * Rows on their way to another thread. They wait in the port as bytes, and whoever has it takes a part of them at a time, so that
 * many are not all read in one turn of its event loop.
 */
export interface RowParts {
  readonly port: MessagePort
  /** Of rows. */
  readonly count: number
}

export function sendParts(rows: readonly SqlRow[]): RowParts {
  const { port1, port2 } = new MessageChannel()
  for (let at = 0; at < rows.length; at += PART) port1.postMessage(rows.slice(at, at + PART))
  return { port: port2, count: rows.length }
}

/**
 * What {@link sendParts} put there, with a turn of the event loop after each part. The port is closed at the end.
 * @throws IdentityError `not-ready` when rows are missing: who is in none of them would be waited for by nobody
 */
export async function* readParts({ port, count }: RowParts): AsyncGenerator<readonly SqlRow[]> {
  let seen = 0
  try {
    for (let next = take(port); next !== undefined; next = take(port)) {
      seen += next.length
      yield next
      await setImmediate()
    }
    if (seen !== count) throw new IdentityError("not-ready", "rows were lost on their way from another thread")
  } finally {
    port.close()
  }
}

function take(port: MessagePort): readonly SqlRow[] | undefined {
  const next: { readonly message: readonly SqlRow[] } | undefined = receiveMessageOnPort(port)
  return next?.message
}

/** Takes some 3 ms to read. */
const PART = 1000
