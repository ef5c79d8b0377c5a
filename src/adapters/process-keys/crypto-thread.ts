import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { Verdict } from "../../core/x509/public-key.ts"
import type { VerifySignature } from "../../core/x509/signature.ts"
import { digestOf } from "../../core/x509/signature-algorithm.ts"
import type { KeyAlgorithm, Signer } from "../../ports/keys.ts"
import type { CryptoAnswer, CryptoJob } from "./crypto-job.ts"
import { type PackedAnswers, packCrypto, unpackAnswers } from "./packed-crypto.ts"

/**
 * A thread for the elliptic-curve work of the issuance cycle. Jobs that come up together travel together: one wake-up of
 * another thread costs as much as a signature. Keys given to it, or made in it, stay in it.
 */
export class CryptoThread implements AsyncDisposable {
  readonly #worker: Worker
  #waiting: Waiting[] = []
  readonly #running: (readonly Waiting[])[] = []
  #scheduled = false
  #failure: IdentityError | undefined

  constructor() {
    this.#worker = new Worker(new URL(`./crypto-worker${extname(import.meta.filename)}`, import.meta.url))
    this.#worker.on("message", (answers: PackedAnswers) => this.#settle(unpackAnswers(answers)))
    this.#worker.on("error", (cause) => this.#die(cause))
    this.#worker.on("exit", () => this.#die(undefined))
    this.#worker.unref()
  }

  /** Why nothing will be verified or signed any more until the process starts anew; `undefined` while all is well. */
  get failure(): IdentityError | undefined {
    return this.#failure
  }

  /** Checks the key, its point included, and the signature. */
  readonly verify: VerifySignature = async (spki, data, signature, algorithm): Promise<Verdict> => {
    const answer = await this.#submit({ kind: "verify", spki, digest: digestOf(algorithm), data, signature })
    if (answer.kind !== "verdict") throw new TypeError("crypto thread: no verdict")
    return answer.verdict
  }

  makeSigner(algorithm: KeyAlgorithm): Promise<Signer> {
    return this.#open({ kind: "make", algorithm }, algorithm)
  }

  /** @throws IdentityError `malformed` when it is not a key of this algorithm */
  loadSigner(pkcs8: Secret, algorithm: KeyAlgorithm): Promise<Signer> {
    const copy = pkcs8.expose((bytes) => new Uint8Array(bytes))
    return this.#open({ kind: "load", algorithm, pkcs8: copy }, algorithm).finally(() => copy.fill(0))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }

  async #open(job: CryptoJob, algorithm: KeyAlgorithm): Promise<Signer> {
    const answer = await this.#submit(job)
    if (answer.kind !== "key") throw new TypeError("crypto thread: no key")
    const { key, publicKey } = answer
    return {
      algorithm,
      publicKey,
      sign: async (data, form) => {
        const signed = await this.#submit({ kind: "sign", key, data, form })
        if (signed.kind !== "signature") throw new TypeError("crypto thread: no signature")
        return signed.signature
      },
      forget: () => {
        // A thread that has ended holds no key.
        this.#submit({ kind: "forget", key }).catch(() => undefined)
      },
    }
  }

  #submit(job: CryptoJob): Promise<CryptoAnswer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(busy())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject })
      this.#schedule()
    })
  }

  /** At the end of this turn of the event loop. */
  #schedule(): void {
    if (this.#scheduled || this.#running.length >= MAX_RUNNING) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  /** Small groups, and more than one of them at the thread: it is never idle, and nobody waits long for the rest of a group. */
  #send(): void {
    while (this.#running.length < MAX_RUNNING && this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, MAX_GROUP)
      this.#running.push(group)
      this.#worker.ref()
      const packed = packCrypto(group.map(({ job }) => job))
      this.#worker.postMessage(packed, packed instanceof ArrayBuffer ? [packed] : [])
    }
  }

  #settle(answers: readonly CryptoAnswer[]): void {
    const group = this.#running.shift() ?? []
    this.#send()
    if (this.#running.length === 0) this.#worker.unref()
    let index = 0
    for (const { resolve, reject } of group) {
      const answer = answers[index++]
      if (answer !== undefined && answer.kind !== "failed") resolve(answer)
      else reject(new Error(answer?.message ?? "crypto thread: no answer"))
    }
  }

  #die(cause: unknown): void {
    this.#failure ??= new IdentityError("not-ready", "the crypto thread has ended", { cause, reason: "crypto-dead" })
    const left = [...this.#running.splice(0).flat(), ...this.#waiting]
    this.#waiting = []
    for (const { reject } of left) reject(this.#failure)
  }
}

interface Waiting {
  readonly job: CryptoJob
  readonly resolve: (answer: CryptoAnswer) => void
  readonly reject: (error: Error) => void
}

function busy(): IdentityError {
  return new IdentityError("rate-limited", "too many requests wait for a signature", {
    retryAfter: 1,
    reason: "crypto-queue-full",
  })
}

const MAX_WAITING = 8192
/** Small enough that the first of a group does not wait for the last for long. */
const MAX_GROUP = 16
const MAX_RUNNING = 4
