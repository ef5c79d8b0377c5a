import { type AdminClient, openAdminClient } from "../../../src/adapters/admin-client/open-admin-client.ts"
import type { RotationKind } from "../../../src/core/authority/rotation-state.ts"
import type { JsonObject } from "../../../src/core/json.ts"
import type { ResponseOf } from "../../../src/transports/admin/contract.ts"
import { rotationStatus } from "../../../src/transports/admin/rotation-contracts.ts"
import { refusal } from "../refusal.ts"

export type RotationStatus = ResponseOf<typeof rotationStatus>

/** The security team at the admin socket of a server. */
export class RotationOperator {
  readonly #client: AdminClient
  readonly #kind: RotationKind

  constructor(adminSocket: string, kind: RotationKind = "x509") {
    this.#kind = kind
    this.#client = openAdminClient({ kind: "socket", path: adminSocket })
  }

  async status(): Promise<RotationStatus> {
    const reply = await this.#client.call({ method: "GET", path: "/rotation", input: { kind: this.#kind } }, signal())
    return rotationStatus.response.parse(reply)
  }

  start(auto: boolean): Promise<void> {
    return this.#post("start", { auto })
  }

  advance(): Promise<void> {
    return this.#post("advance", {})
  }

  resume(): Promise<void> {
    return this.#post("resume", { auto: true })
  }

  /** Wait for nobody who is late now. */
  waiveAll(reason: string): Promise<void> {
    return this.#post("waive", { reason, consumers: "all", dry_run: false })
  }

  /** Go on, and wait neither for who is late now nor for who becomes late meanwhile, such as a client that was counted just now. */
  async advanceRegardless(reason: string): Promise<void> {
    for (let left = IMPATIENCE; ; left--) {
      try {
        return await this.advance()
      } catch (error) {
        if (left === 0 || !isLate(error)) throw error
        await this.waiveAll(reason)
      }
    }
  }

  emergency(reason: string): Promise<void> {
    return this.#post("emergency", { reason, consumers: "all", dry_run: false })
  }

  async #post(verb: string, input: JsonObject): Promise<void> {
    await this.#client.call(
      { method: "POST", path: `/rotation/${verb}`, input: { ...input, kind: this.#kind } },
      signal(),
    )
  }
}

const isLate = refusal("conflict", "late")
const IMPATIENCE = 10

function signal(): AbortSignal {
  return AbortSignal.timeout(30_000)
}
