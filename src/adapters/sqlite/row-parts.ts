import { setImmediate } from "node:timers/promises"
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads"
import type { SqlRow } from "./sql-row.ts"

/**
 * Rows on their way to another thread. They wait in the port as bytes, and whoever has it takes a part of them at a time, so that
 * many are not all read in one turn of its event loop.
 */
export function sendParts(rows: readonly SqlRow[]): MessagePort {
  const { port1, port2 } = new MessageChannel()
  for (let at = 0; at < rows.length; at += PART) port1.postMessage(rows.slice(at, at + PART))
  return port2
}

/** What {@link sendParts} put there, with a turn of the event loop after each part. The port is closed at the end. */
export async function* readParts(port: MessagePort): AsyncGenerator<readonly SqlRow[]> {
  try {
    for (let next = take(port); next !== undefined; next = take(port)) {
      yield next
      await setImmediate()
    }
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
