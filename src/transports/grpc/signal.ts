import type { EventEmitter } from "node:events"

/** The caller's cancellation, deadline included (grpc-js cancels a call when its deadline passes), as a signal. */
export function callSignal(call: Pick<EventEmitter, "once">): AbortSignal {
  const controller = new AbortController()
  call.once("cancelled", () => controller.abort())
  return controller.signal
}
