import { IdentityError } from "../core/errors.ts"
import type { Clock } from "../ports/clock.ts"
import type { WorkloadApi, X509Svid } from "../ports/workload-api.ts"
import { type HeldValue, type HoldDeps, type HoldTerms, holdNewest } from "./held-value.ts"
import { type PickSvid, readX509Context, type X509Bundles, type X509Context } from "./x509-context.ts"

/** What TLS needs: the identity of now, and to hear of the next one. A source of your own will do. */
export interface X509Holder {
  /** @throws IdentityError when there is nothing to show */
  current(): X509Context
  /** Call `listener` at each change after now, until disposed of. What it throws is a problem, and keeps nobody else from hearing. */
  onChange(listener: (context: X509Context) => void): Disposable
}

/**
 * The X.509-SVID of this workload and the bundles that it verifies others by, always the newest. While the Workload API is
 * away it serves what it has until the SVID expires, and comes back by itself. @see CLT-01..CLT-04
 */
export interface X509Source extends X509Holder, AsyncDisposable {
  /** @throws IdentityError `not-ready` when the SVID has expired, `cancelled` once the source is closed */
  current(): X509Context
  /** {@link X509Context.svid} of {@link current}. */
  svid(): X509Svid
  /** {@link X509Context.bundles} of {@link current}. */
  bundles(): X509Bundles
  /** What is held at once, unless it has expired, then at each change; a slow reader sees the newest only. Ends when `signal` aborts or the source is closed. */
  watch(signal?: AbortSignal): AsyncGenerator<X509Context, void, void>
}

export interface X509Terms extends HoldTerms {
  readonly pick: PickSvid
}

/** @throws IdentityError as {@link holdNewest} */
export async function makeX509Source(
  api: Pick<WorkloadApi, "watchX509">,
  terms: X509Terms,
  deps: HoldDeps,
): Promise<X509Source> {
  const read = async function* (signal: AbortSignal): AsyncGenerator<X509Context, void, void> {
    for await (const material of api.watchX509(signal)) yield readX509Context(material, terms.pick)
  }
  return sourceOver(await holdNewest(read, terms, deps), deps.clock)
}

function sourceOver(held: HeldValue<X509Context>, clock: Pick<Clock, "now">): X509Source {
  const current = (): X509Context => {
    const context = held.current()
    if (context.expiresAt > clock.now()) return context
    throw new IdentityError("not-ready", "the SVID has expired, and the Workload API gave no other", {
      reason: "svid-expired",
    })
  }
  return {
    current,
    svid: () => current().svid,
    bundles: () => current().bundles,
    onChange: (listener) => held.onChange(listener),
    async *watch(signal = held.closed) {
      while (!signal.aborted && !held.closed.aborted) {
        const changed = held.changed(signal)
        const context = held.current()
        if (context.expiresAt > clock.now()) yield context
        await changed
      }
    },
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}
