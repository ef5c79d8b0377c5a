import { setTimeout as delay } from "node:timers/promises"
import type { Millis } from "../../../src/core/time.ts"
import type { RotationOperator, RotationStatus } from "./rotation-operator.ts"

/** One rotation as the admin API tells it, from when this is made. */
export class RotationStory {
  readonly #operator: RotationOperator
  readonly #begun: Millis = performance.now()
  readonly #phases: { readonly phase: string; readonly since: Millis }[] = []
  readonly #waitedFor = new Map<string, Set<string>>()

  constructor(operator: RotationOperator) {
    this.#operator = operator
  }

  /** Listen until `reached`. @throws Error with the last status when that takes longer than `millis` */
  async until(what: string, reached: (status: RotationStatus) => boolean, millis = PATIENCE): Promise<RotationStatus> {
    const deadline = performance.now() + millis
    for (;;) {
      const status = await this.#operator.status()
      this.#note(status)
      if (reached(status)) return status
      if (performance.now() > deadline) throw new Error(`waited for ${what}: ${JSON.stringify(status)}`)
      await delay(POLL)
    }
  }

  /** Why this member was waited for, over all of the story. */
  reasonsFor(name: string): ReadonlySet<string> {
    return this.#waitedFor.get(name) ?? new Set()
  }

  /** Time in each phase, and who was waited for why. */
  describe(): string {
    const ends = [...this.#phases.slice(1).map(({ since }) => since), performance.now()]
    const times = this.#phases.flatMap(({ phase, since }, index) =>
      phase === "stable" ? [] : [`${phase} ${seconds((ends[index] ?? since) - since)}`],
    )
    const waits = [...this.#waitedFor].map(([name, reasons]) => `${name} (${[...reasons].join(", ")})`)
    return `${seconds(performance.now() - this.#begun)} s: ${times.join(", ")}; waited for ${waits.join(", ")}`
  }

  #note({ phase, late }: RotationStatus): void {
    if (this.#phases.at(-1)?.phase !== phase) this.#phases.push({ phase, since: performance.now() })
    for (const { id, spiffe_id: spiffeId, reason } of late) {
      const name = memberOf(spiffeId) ?? id
      this.#waitedFor.set(name, (this.#waitedFor.get(name) ?? new Set()).add(reason))
    }
  }
}

/** Whether `status` names this member as late for this reason. */
export function isLate(status: RotationStatus, name: string, reason: string): boolean {
  return status.late.some((party) => memberOf(party.spiffe_id) === name && party.reason === reason)
}

function memberOf(spiffeId: string): string | undefined {
  return spiffeId === "" ? undefined : spiffeId.split("/").at(-1)
}

function seconds(millis: Millis): string {
  return (millis / 1000).toFixed(1)
}

const POLL: Millis = 50
const PATIENCE: Millis = 120_000
