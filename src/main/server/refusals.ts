import { makeRecordRefusals, type RecordRefusals, type RecordRefusalsDeps } from "../../app/audit/record-refusals.ts"

/** Refusals of one server on their way to the audit log. Records what is left when it is disposed of. */
export function keepRefusals(deps: RecordRefusalsDeps): RecordRefusals & AsyncDisposable {
  const refusals = makeRecordRefusals(deps)
  const stop = new AbortController()
  const ended = refusals.run(stop.signal)
  const dispose = async () => {
    stop.abort()
    await ended
  }
  return { ...refusals, [Symbol.asyncDispose]: dispose }
}
