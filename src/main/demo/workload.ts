import { setTimeout as delay } from "node:timers/promises"
import { openWorkloadClient } from "../../adapters/workload-client/workload-client.ts"
import { makeChangeSignal } from "../../core/change-signal.ts"
import { toIdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { type CertificateView, parseCertificate } from "../../core/x509/certificate.ts"
import type { WorkloadApi, X509Svid } from "../../ports/workload-api.ts"

/** An SVID as a workload holds it. */
export interface HeldIdentity {
  readonly svid: X509Svid
  readonly leaf: CertificateView
  /** How many messages its stream had brought with this one: 1 for the first. */
  readonly update: number
  /** `performance.now()` when it came. */
  readonly at: Millis
}

/** An identity that changes under its user's hands. */
export interface RotatingIdentity {
  /** What is held now. @throws Error when there is nothing, or it is not kept current any longer */
  current(): HeldIdentity
  /** Call `listener` at each later change, until disposed of. */
  onChange(listener: (held: HeldIdentity) => void): Disposable
}

/**
 * A small workload. It asks the Workload API until there is a first SVID, and keeps that stream. It never opens another, so
 * everything later was pushed.
 */
export interface Workload extends RotatingIdentity, AsyncDisposable {
  readonly api: WorkloadApi
  /** Resolves once the stream has brought message number `update`. @throws Error when it ends first, or `signal` aborts */
  reached(update: number, signal: AbortSignal): Promise<HeldIdentity>
}

/** @param socket path of the agent's socket */
export function openWorkload(socket: string): Workload {
  const client = openWorkloadClient({ kind: "unix", path: socket })
  const stop = new AbortController()
  const changes = makeChangeSignal()
  const listeners = new Set<(held: HeldIdentity) => void>()
  let held: HeldIdentity | undefined
  let failure: Error | undefined
  const watchOnce = async (): Promise<void> => {
    for await (const { svids } of client.watchX509(stop.signal)) {
      const [svid] = svids
      const [leaf] = svid?.chain ?? []
      if (svid === undefined || leaf === undefined) throw new Error("the Workload API sent no SVID")
      held = { svid, leaf: parseCertificate(leaf), update: (held?.update ?? 0) + 1, at: performance.now() }
      for (const listener of listeners) listener(held)
      changes.fire()
    }
    throw new Error("the stream of the Workload API has ended")
  }
  const watch = async (): Promise<void> => {
    for (;;) {
      try {
        return await watchOnce()
      } catch (thrown) {
        if (held !== undefined || stop.signal.aborted || toIdentityError(thrown).code !== "not-ready") throw thrown
      }
      await delay(RETRY_MILLIS, undefined, { signal: stop.signal })
    }
  }
  const watching = watch().catch((thrown: unknown) => {
    failure = new Error("the workload's stream has failed", { cause: thrown })
    changes.fire()
  })
  const current = (): HeldIdentity => {
    if (failure !== undefined) throw failure
    if (held === undefined) throw new Error("the workload has no SVID yet")
    return held
  }
  return {
    api: client,
    current,
    async reached(update, signal) {
      while (failure === undefined && (held?.update ?? 0) < update) {
        signal.throwIfAborted()
        await changes.changed(signal)
      }
      return current()
    },
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await watching
      client[Symbol.dispose]()
    },
  }
}

/** For what the agent does not wait out itself: a first try that failed, or took longer than it keeps a call waiting. */
const RETRY_MILLIS: Millis = 20
