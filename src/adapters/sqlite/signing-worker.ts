import { type MessagePort, workerData } from "node:worker_threads"
import { signBy } from "./held-keys.ts"
import { SIGNATURE_OCTETS, type SigningRequest } from "./signing-thread.ts"

/** Signs what the store's thread made durable. An error ends this thread, and the store's signs alone. */
function serve(port: MessagePort): void {
  port.on("message", (request: SigningRequest) => {
    const signatures = signAll(request)
    port.postMessage(signatures, [signatures.buffer])
  })
}

function signAll({ keys, lengths, bytes }: SigningRequest): Uint8Array<ArrayBuffer> {
  const signatures = new Uint8Array(SIGNATURE_OCTETS * keys.length)
  let from = 0
  for (const [index, key] of keys.entries()) {
    const to = from + (lengths[index] ?? 0)
    signatures.set(signBy(key, bytes.subarray(from, to), "p1363"), SIGNATURE_OCTETS * index)
    from = to
  }
  return signatures
}

serve(workerData as MessagePort) // only SigningThread starts this file
