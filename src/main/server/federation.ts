import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import type { TrustState } from "../../app/authority/trust-state.ts"
import type { FederationEvents } from "../../app/federate/events.ts"
import { type FederatedFacts, openFederatedTrust } from "../../app/federate/federated-trust.ts"
import type { ChangeSignal } from "../../core/change-signal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { FederatedBundles } from "../../ports/federated-bundles.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { watchFolderOf } from "../config/watch-folder.ts"
import { makeReadBundleFile, type ReadBundleFile } from "./read-bundle-file.ts"

export interface FederationDeps {
  readonly domains: () => ServerConfig["federation"]
  /** Resolves when another configuration is in force. */
  readonly reconfigured: ChangeSignal["changed"]
  /** Of the own trust domain. */
  readonly incarnation: string
  readonly publish: TrustState["setFederated"]
  readonly store: FederatedBundles
  readonly clock: Clock
  readonly events: FederationEvents
  /** Default: from the disk. */
  readonly read?: ReadBundleFile
}

export interface Federation {
  facts(): readonly FederatedFacts[]
  /** Keeps the bundles as their files and the configuration say, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/**
 * Publish the bundles of other trust domains. @throws IdentityError when that fails: whoever asked a server without them would lose
 * trust in them @see TD-23
 */
export async function openFederation(deps: FederationDeps): Promise<Federation> {
  const { domains, publish, store, incarnation, clock, events } = deps
  const federated = await openFederatedTrust({
    wanted: domains,
    read: deps.read ?? makeReadBundleFile(clock),
    publish,
    store,
    incarnation,
    clock,
    events,
  })
  // Armed before it is read, so that no change falls in between.
  let bell = new Bell(deps)
  try {
    await federated.refresh()
  } catch (thrown) {
    bell.close()
    throw thrown
  }
  return {
    facts: () => federated.facts(),
    run: async (signal) => {
      while (!signal.aborted) {
        await bell.rung(signal)
        bell.close()
        if (signal.aborted) return
        bell = new Bell(deps)
        // Its failures are told, and the next one makes up for them.
        await federated.refresh().catch(() => undefined)
      }
      bell.close()
    },
  }
}

/** Rings when a file or the configuration changes, and at the latest after {@link INTERVAL}. */
class Bell {
  readonly #clock: Clock
  readonly #rung = new AbortController()
  readonly #closed = new AbortController()
  readonly #watchers: readonly ReturnType<typeof watchFolderOf>[]

  constructor({ domains, reconfigured, clock }: FederationDeps) {
    this.#clock = clock
    const ring = () => this.#rung.abort()
    this.#watchers = domains().map(({ bundleFile }) => watchFolderOf(bundleFile, ring))
    void reconfigured(this.#closed.signal).then(ring)
  }

  /** A folder in which much is written rings no more often than every {@link PAUSE}. */
  async rung(signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(PAUSE, signal)
    await this.#clock.sleep(INTERVAL, AbortSignal.any([signal, this.#rung.signal]))
  }

  close(): void {
    this.#closed.abort()
    for (const watcher of this.#watchers) watcher?.close()
  }
}

/** Set the gauges to what is in force now. @see TD-18 */
export function measureFederation(metrics: ServerMetrics, facts: readonly FederatedFacts[]): void {
  metrics.federatedBundle.reset()
  for (const { trustDomain, inForce } of facts) {
    for (const source of SOURCES)
      metrics.federatedBundle.set({ trust_domain: trustDomain, source }, source === inForce ? 1 : 0)
  }
}

const SOURCES = ["file", "kept", "none"] as const
const INTERVAL = 5000
const PAUSE = 100
