import type { Verdict } from "../../core/x509/public-key.ts"
import type { CryptoAnswer, CryptoJob, Digest } from "./crypto-job.ts"

/**
 * Jobs on their way to the crypto thread. Cloning a small byte array costs a tenth of a verification, and a cell of a list some of
 * it, so verifications travel as one buffer: how many, then digest and lengths of each, then the octets of each. A group with
 * another job in it is rare and travels as it is.
 */
export type PackedCrypto = ArrayBuffer | readonly CryptoJob[]

/** Verdicts travel as one text, a digit each. */
export type PackedAnswers = string | readonly CryptoAnswer[]

type Verification = Extract<CryptoJob, { readonly kind: "verify" }>

export function packCrypto(jobs: readonly CryptoJob[]): PackedCrypto {
  return jobs.every(isVerification) ? packVerifications(jobs) : jobs
}

export function unpackCrypto(packed: PackedCrypto): readonly CryptoJob[] {
  return packed instanceof ArrayBuffer ? unpackVerifications(packed) : packed
}

export function packAnswers(answers: readonly CryptoAnswer[]): PackedAnswers {
  return answers.every(isVerdict) ? answers.map(({ verdict }) => VERDICTS.indexOf(verdict)).join("") : answers
}

export function unpackAnswers(answers: PackedAnswers): readonly CryptoAnswer[] {
  return typeof answers === "string" ? Array.from(answers, verdictAnswer) : answers
}

function packVerifications(jobs: readonly Verification[]): ArrayBuffer {
  const head = headOctets(jobs.length)
  const total = jobs.reduce(
    (sum, { spki, data, signature }) => sum + spki.length + data.length + signature.length,
    head,
  )
  const buffer = new ArrayBuffer(total)
  const numbers = new Uint32Array(buffer, 0, head / WORD)
  const bytes = new Uint8Array(buffer)
  numbers[0] = jobs.length
  let word = 1
  let at = head
  for (const { digest, spki, data, signature } of jobs) {
    numbers[word++] = DIGESTS.indexOf(digest)
    for (const part of [spki, data, signature]) {
      numbers[word++] = part.length
      bytes.set(part, at)
      at += part.length
    }
  }
  return buffer
}

function unpackVerifications(buffer: ArrayBuffer): readonly Verification[] {
  const [count = 0] = new Uint32Array(buffer, 0, 1)
  const head = headOctets(count)
  const numbers = new Uint32Array(buffer, 0, head / WORD)
  let at = head
  const take = (word: number): Uint8Array => {
    const from = at
    at += numbers[word] ?? 0
    return new Uint8Array(buffer, from, at - from)
  }
  const jobs: Verification[] = []
  for (let word = 1; word < numbers.length; word += WORDS) {
    const digest = DIGESTS[numbers[word] ?? DIGESTS.length]
    if (digest === undefined) throw new RangeError("crypto thread: no such digest")
    jobs.push({ kind: "verify", digest, spki: take(word + 1), data: take(word + 2), signature: take(word + 3) })
  }
  return jobs
}

function headOctets(count: number): number {
  return WORD * (1 + WORDS * count)
}

function isVerification(job: CryptoJob): job is Verification {
  return job.kind === "verify"
}

function isVerdict(answer: CryptoAnswer): answer is Extract<CryptoAnswer, { readonly kind: "verdict" }> {
  return answer.kind === "verdict"
}

function verdictAnswer(digit: string): CryptoAnswer {
  const verdict = VERDICTS[Number(digit)]
  return verdict === undefined ? { kind: "failed", message: "crypto thread: no verdict" } : { kind: "verdict", verdict }
}

const VERDICTS: readonly Verdict[] = ["valid", "wrong-signature", "wrong-key"]
const DIGESTS: readonly Digest[] = ["sha256", "sha384", "sha512"]
/** Octets of a number. */
const WORD = 4
/** Numbers of a verification: its digest, and three lengths. */
const WORDS = 4
