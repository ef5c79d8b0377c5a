import { createHash } from "node:crypto"
import type { ServerWritableStream } from "@grpc/grpc-js"
import type { IdentitySource, IdentityView } from "../../app/deliver/identity-source.ts"
import { readyView } from "./call-terms.ts"

/** One kind of stream: what a view looks like on it. */
export interface StreamShape<Message> {
  /** Always the full set. @see WA-05 */
  readonly render: (view: IdentityView) => Message
  readonly encode: (message: Message) => Uint8Array
}

/**
 * Send the current message at once and a new one whenever its content changes, until `signal` aborts. A reader that is
 * slower than the changes gets the newest only; at most one message waits for it. @throws IdentityError when there is nothing
 * to send, or nothing any more. `handedOn` is told of each epoch whose content has left for the client. @see WA-05 WA-06 WA-07
 */
export async function streamChanges<Message>(
  call: ServerWritableStream<unknown, Message>,
  source: IdentitySource,
  shape: StreamShape<Message>,
  signal: AbortSignal,
  handedOn: (epoch: number) => void,
): Promise<void> {
  let sent: string | undefined
  while (!signal.aborted) {
    // Armed before reading, so that a change in between is not missed.
    const changed = source.changed(signal)
    const view = readyView(source)
    const message = shape.render(view)
    const digest = createHash("sha256").update(shape.encode(message)).digest("base64")
    if (digest !== sent) {
      sent = digest
      await send(call, message, signal)
    }
    if (!signal.aborted) handedOn(view.snapshot.epoch)
    await changed
  }
}

/** Resolves when the message has left for the transport, or on abort: the stream itself would queue sixteen. */
function send<Message>(
  call: ServerWritableStream<unknown, Message>,
  message: Message,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done)
      resolve()
    }
    signal.addEventListener("abort", done)
    call.write(message, done)
  })
}
