import type { Log } from "../../ports/telemetry.ts"

/** Which RPC a caller came in by. */
export type SdsDoor = "sotw" | "delta" | "fetch"

/** Counters of the service; every label value is from a closed list. */
export interface SdsMetrics {
  /** A stream began (1) or ended (-1). */
  streams(door: SdsDoor, change: 1 | -1): void
  pushed(door: SdsDoor): void
  answered(door: SdsDoor, answer: SdsAnswer): void
}

export type SdsAnswer = "ack" | "nack" | "stale"

/** The events of the service, each counted and logged in one place. */
export interface SdsEvents {
  opened(door: SdsDoor, consumer: string): void
  closed(door: SdsDoor, consumer: string, why: string): void
  pushed(door: SdsDoor): void
  acknowledged(door: SdsDoor): void
  stale(door: SdsDoor): void
  refused(door: SdsDoor, consumer: string, names: readonly string[], reason: string): void
  rejected(door: SdsDoor, err: unknown): void
  narrowed(consumer: string): void
}

export function makeSdsEvents(log: Log, metrics: SdsMetrics): SdsEvents {
  return {
    opened(door, consumer) {
      metrics.streams(door, 1)
      log.debug({ door, consumer }, "sds stream opened")
    },
    closed(door, consumer, why) {
      metrics.streams(door, -1)
      log.debug({ door, consumer, why }, "sds stream closed")
    },
    pushed: (door) => metrics.pushed(door),
    acknowledged: (door) => metrics.answered(door, "ack"),
    stale: (door) => metrics.answered(door, "stale"),
    refused(door, consumer, names, reason) {
      metrics.answered(door, "nack")
      log.warn({ door, consumer, names: names.join(" "), reason }, "proxy refused secrets; they are not sent again")
    },
    rejected: (door, err) => log.info({ door, err }, "sds call rejected"),
    narrowed: (consumer) =>
      log.warn(
        { consumer },
        "proxy without the SPIFFE validator asked for all bundles; it gets that of the own trust domain",
      ),
  }
}
