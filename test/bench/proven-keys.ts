import { generateKeyPairSync, sign } from "node:crypto"
import type { KeyEvidence } from "../../src/app/issue/requests.ts"
import { provenKeyMessage } from "../../src/core/x509/csr.ts"

/**
 * Public keys of P-256 with their proofs, made ahead. Each is used once, so that no request is taken for a retry. They lie in one
 * buffer: as small ones, what is made ahead for the load would be walked by each collection of the server's heap.
 */
export class ProvenKeys {
  readonly #bytes: Buffer
  readonly #count: number
  #next = 0

  constructor(count: number, evidenceDigest: Uint8Array) {
    this.#count = count
    this.#bytes = Buffer.alloc(count * ROW)
    for (let at = 0; at < this.#bytes.length; at += ROW) {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
      const spki = publicKey.export({ format: "der", type: "spki" })
      const proof = sign("sha256", provenKeyMessage(evidenceDigest, spki), privateKey)
      this.#bytes.set(spki, at)
      this.#bytes[at + SPKI] = proof.length
      this.#bytes.set(proof, at + SPKI + 1)
    }
  }

  /** Begin with the first again: what is asked for must be another, or it is taken for a retry. */
  rewind(): void {
    this.#next = 0
  }

  /** @throws RangeError when all were used */
  take(): KeyEvidence {
    if (this.#next === this.#count) throw new RangeError("keys made ahead did not last")
    const row = this.#bytes.subarray(this.#next * ROW, ++this.#next * ROW)
    const proof = row.subarray(SPKI + 1, SPKI + 1 + (row[SPKI] ?? 0))
    return { kind: "proven-key", publicKey: row.subarray(0, SPKI), proof }
  }
}

const SPKI = 91
const MAX_PROOF = 72
const ROW = SPKI + 1 + MAX_PROOF
