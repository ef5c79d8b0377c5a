import {
  type BatchIssueX509Response,
  type BatchX509Result,
  Bundle,
  type IssueJwtResponse,
  type IssueX509Response,
  Problem,
} from "../../gen/assay/v1/identity.ts"
import { FieldWriter, sizeOfField, sizeOfNumber, sizeOfText } from "./field-writer.ts"

/*
 * What is issued, octet by octet as the generated code encodes it, each message in one buffer of its size: the generated code makes
 * a list of parts, and copies them twice. These are the answers that are given often.
 */

export function encodeIssueX509(message: IssueX509Response): Buffer {
  const writer = new FieldWriter(sizeOfX509(message))
  writeX509(writer, message)
  return writer.bytes
}

export function encodeBatchIssueX509({ results, bundle }: BatchIssueX509Response): Buffer {
  const parts = results.map(partOf)
  const size = parts.reduce((sum, part) => sum + sizeOfField(part.size), sizeOfBundle(bundle))
  const writer = new FieldWriter(size)
  for (const part of parts) {
    writer.open(BATCH.results, part.size)
    if (part.problem !== undefined) writer.blob(RESULT.problem, part.problem)
    if (part.issued === undefined) continue
    writer.open(RESULT.issued, part.issuedSize)
    writeX509(writer, part.issued)
  }
  if (bundle !== undefined) writer.blob(BATCH.bundle, encodedBundle(bundle))
  return writer.bytes
}

export function encodeIssueJwt({ spiffeId, svid, hint, expiresAt }: IssueJwtResponse): Buffer {
  const writer = new FieldWriter(sizeOfText(spiffeId) + sizeOfText(svid) + sizeOfText(hint) + sizeOfNumber(expiresAt))
  writer.text(JWT.spiffeId, spiffeId)
  writer.text(JWT.svid, svid)
  writer.text(JWT.hint, hint)
  writer.number(JWT.expiresAt, expiresAt)
  return writer.bytes
}

/** A result of a batch: one of its two kinds, or neither. */
interface Part {
  readonly size: number
  readonly issued: IssueX509Response | undefined
  readonly issuedSize: number
  readonly problem: Uint8Array | undefined
}

function partOf({ result }: BatchX509Result): Part {
  const issued = result?.$case === "issued" ? result.value : undefined
  const problem = result?.$case === "problem" ? Problem.encode(result.value).finish() : undefined
  const issuedSize = issued === undefined ? 0 : sizeOfX509(issued)
  const size =
    issued === undefined ? (problem === undefined ? 0 : sizeOfField(problem.length)) : sizeOfField(issuedSize)
  return { size, issued, issuedSize, problem }
}

function sizeOfX509({ spiffeId, chain, hint, notAfter, epoch, bundle }: IssueX509Response): number {
  const rest = sizeOfText(hint) + sizeOfNumber(notAfter) + sizeOfNumber(epoch) + sizeOfBundle(bundle)
  return chain.reduce((sum, der) => sum + sizeOfField(der.length), sizeOfText(spiffeId) + rest)
}

function writeX509(writer: FieldWriter, message: IssueX509Response): void {
  writer.text(X509.spiffeId, message.spiffeId)
  for (const der of message.chain) writer.blob(X509.chain, der)
  writer.text(X509.hint, message.hint)
  writer.number(X509.notAfter, message.notAfter)
  writer.number(X509.epoch, message.epoch)
  if (message.bundle !== undefined) writer.blob(X509.bundle, encodedBundle(message.bundle))
}

function sizeOfBundle(bundle: Bundle | undefined): number {
  return bundle === undefined ? 0 : sizeOfField(encodedBundle(bundle).length)
}

/** A bundle is one object for each epoch, and encoded once. */
function encodedBundle(bundle: Bundle): Uint8Array {
  const known = BUNDLES.get(bundle)
  if (known !== undefined) return known
  const bytes = Bundle.encode(bundle).finish()
  BUNDLES.set(bundle, bytes)
  return bytes
}

const BUNDLES = new WeakMap<Bundle, Uint8Array>()
/** Field numbers of `proto/assay/v1/identity.proto`. */
const X509 = { spiffeId: 1, chain: 2, hint: 3, notAfter: 4, epoch: 5, bundle: 6 } as const
const JWT = { spiffeId: 1, svid: 2, hint: 3, expiresAt: 4 } as const
const BATCH = { results: 1, bundle: 2 } as const
const RESULT = { issued: 1, problem: 2 } as const
