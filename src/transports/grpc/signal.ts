/** The caller's cancellation, deadline included (a call is cancelled when its deadline passes), as a signal. */
export function callSignal(call: { once(event: "cancelled", listener: () => void): unknown }): AbortSignal {
  const controller = new AbortController()
  call.once("cancelled", () => controller.abort())
  return controller.signal
}
