import { joinBytes } from "../../core/bytes.ts"
import type { Verdict } from "../../core/x509/public-key.ts"
import type { CryptoAnswer, CryptoJob } from "./crypto-job.ts"

/**
 * Jobs on their way to the crypto thread. Cloning a small byte array costs a tenth of a verification, so those of
 * verifications lie in one buffer, and what else they have flat in one array. Other jobs are rare and travel as they are.
 */
export interface PackedCrypto {
  readonly cells: readonly (string | number | CryptoJob)[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** A verdict travels as its text. */
export type PackedAnswers = readonly (Verdict | CryptoAnswer)[]

type Verification = Extract<CryptoJob, { readonly kind: "verify" }>

export function packCrypto(jobs: readonly CryptoJob[]): PackedCrypto {
  const cells: (string | number | CryptoJob)[] = []
  const chunks: Uint8Array[] = []
  for (const job of jobs) {
    if (job.kind !== "verify") cells.push(job)
    else {
      cells.push(job.digest, job.spki.length, job.data.length, job.signature.length)
      chunks.push(job.spki, job.data, job.signature)
    }
  }
  return { cells, bytes: joinBytes(chunks) }
}

export function unpackCrypto({ cells, bytes }: PackedCrypto): readonly CryptoJob[] {
  const jobs: CryptoJob[] = []
  let at = 0
  const take = (length: unknown): Uint8Array => {
    const from = at
    at += Number(length)
    return bytes.subarray(from, at)
  }
  for (let i = 0; i < cells.length; ) {
    const first = cells[i++]
    if (typeof first === "object") jobs.push(first)
    else jobs.push(verification(String(first), take(cells[i++]), take(cells[i++]), take(cells[i++])))
  }
  return jobs
}

export function packAnswers(answers: readonly CryptoAnswer[]): PackedAnswers {
  return answers.map((answer) => (answer.kind === "verdict" ? answer.verdict : answer))
}

export function unpackAnswers(answers: PackedAnswers): readonly CryptoAnswer[] {
  return answers.map((answer) => (typeof answer === "string" ? { kind: "verdict", verdict: answer } : answer))
}

function verification(digest: string, spki: Uint8Array, data: Uint8Array, signature: Uint8Array): Verification {
  return { kind: "verify", digest, spki, data, signature }
}
