import type { Secret } from "../../core/secret.ts"
import type { GuardedOrder, SignedIntent, SignGuarded } from "../../ports/intent-signer.ts"
import type { Signer } from "../../ports/keys.ts"
import { encodeAudit } from "./audit-row.ts"
import type { Accepted, CommitQueue } from "./commit-queue.ts"
import { encodeIntent, parseIntent } from "./intent-row.ts"
import type { OrderJob } from "./job.ts"
import { bytesOf } from "./sql-row.ts"

/**
 * Keys that live in the store's thread, where intents become durable: nothing is handed over between the commit and the
 * signature. P-256 alone.
 */
export interface StoreSigning {
  /** Make a key that no other thread ever sees. */
  makeSigner(): Promise<Signer>
  /** The copy that travels is wiped. @throws IdentityError `malformed` when it is no key of P-256 */
  loadSigner(pkcs8: Secret): Promise<Signer>
  holds(signer: Signer): boolean
  /** For orders whose signer it {@link holds}. @throws TypeError for others */
  readonly signIntent: SignGuarded
}

export function makeStoreSigning(queue: CommitQueue): StoreSigning {
  const signerOf = (answer: Accepted): Signer => {
    if (answer.kind !== "key") throw new TypeError("store thread: no key")
    return new HeldSigner(queue, answer.key, answer.publicKey)
  }
  return {
    makeSigner: async () => signerOf(await queue.submit({ kind: "make-key" })),
    loadSigner: async (pkcs8) => {
      const copy = pkcs8.expose((bytes) => new Uint8Array(bytes))
      return signerOf(await queue.submit({ kind: "load-key", pkcs8: copy }).finally(() => copy.fill(0)))
    },
    holds: (signer) => signer instanceof HeldSigner,
    signIntent: async (order) => {
      if (!(order.signer instanceof HeldSigner)) throw new TypeError("key is not in the store's thread")
      return signedIntent(await queue.submit(orderJob(order, order.signer.key)))
    },
  }
}

class HeldSigner implements Signer {
  readonly algorithm = "ec-p256"
  readonly publicKey: Uint8Array
  /** Its number in the thread. */
  readonly key: number
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue, key: number, publicKey: Uint8Array) {
    this.#queue = queue
    this.key = key
    this.publicKey = publicKey
  }

  async sign(data: Uint8Array, form: "der" | "p1363"): Promise<Uint8Array> {
    const answer = await this.#queue.submit({ kind: "sign", key: this.key, data, form })
    if (answer.kind !== "signed") throw new TypeError("store thread: no signature")
    return answer.signature
  }

  forget(): void {
    // A thread that has ended holds no key.
    this.#queue.submit({ kind: "forget-key", key: this.key }).catch(() => undefined)
  }
}

function orderJob({ intent, decision, reuseSince, guards, form }: GuardedOrder, key: number): OrderJob {
  return {
    kind: "order",
    key,
    form,
    outcome: intent.kind === "x509" ? "signature" : "digest",
    tbs: intent.tbs,
    recording: {
      kind: "intent",
      intent: encodeIntent(intent),
      idempotencyKey: intent.idempotencyKey ?? null,
      reuseSince,
      bansSeen: guards.bansSeen,
      renewal: guards.renewal ?? null,
      audit: encodeAudit(decision),
    },
  }
}

function signedIntent(answer: Accepted): SignedIntent {
  if (answer.kind === "signed") return answer
  if (answer.kind !== "row" || answer.row === undefined) throw new TypeError("store thread: no signature")
  return { kind: "already-issued", intent: parseIntent(answer.row), signature: bytesOf(answer.row, "signature") }
}
