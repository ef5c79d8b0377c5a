import { type MemoryStore, openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { renew } from "./lineage-fixtures.ts"

/** "lost": recorded, but the answer does not arrive. "failed": nothing was recorded, which the agent cannot know. */
export type Fate = "answered" | "lost" | "failed"

/** An agent as {@link OpenRenewals} makes it: what it received last, and the key of an order that was not answered. */
export interface ModelAgent {
  held: string | undefined
  key: string | undefined
}

interface Accepted {
  readonly serial: string
  readonly quoted: string | undefined
  readonly key: string
}

/** One pod's agents against a store that may be set back to an earlier state. */
export class LineageModel {
  readonly isSole: boolean
  #store: MemoryStore = openMemoryStore()
  /** What made the store what it is. */
  #accepted: Accepted[] = []
  #backup: readonly Accepted[] = []
  #count = 0

  constructor(isSole: boolean) {
    this.isSole = isSole
  }

  get incidents(): number {
    return this.#store.events.filter(({ type }) => type === "lineage.violated").length
  }

  /** @throws IdentityError when it is refused */
  async ask(agent: ModelAgent, fate: Fate): Promise<void> {
    agent.key ??= `key ${++this.#count}`
    if (fate === "failed") return
    const accepted = { serial: `c${++this.#count}`, quoted: agent.held, key: agent.key }
    await this.#record(accepted)
    if (fate === "lost") return
    agent.held = accepted.serial
    agent.key = undefined
  }

  backUp(): void {
    this.#backup = [...this.#accepted]
  }

  /** To what it was at the last {@link backUp}. */
  async restore(): Promise<void> {
    this.#store = openMemoryStore()
    this.#accepted = []
    for (const accepted of this.#backup) await this.#record(accepted)
  }

  async #record(accepted: Accepted): Promise<void> {
    const { serial, quoted, key } = accepted
    await renew(this.#store.issuanceLog, serial, quoted, key, { isSole: this.isSole })
    this.#accepted.push(accepted)
  }
}

export function restart(agent: ModelAgent): void {
  agent.held = undefined
  agent.key = undefined
}
