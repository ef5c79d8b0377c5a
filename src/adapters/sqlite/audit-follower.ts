import { encodeEnvelope, parseEnvelope } from "../../core/audit/envelope.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Millis } from "../../core/time.ts"
import { AuditFile, readBeginning, writeBeginning } from "./audit-file.ts"
import type { AuditReader } from "./audit-reader.ts"

export interface FollowerOptions {
  readonly file: string
  readonly trustDomain: string
  /** How long a pipe may take nothing. */
  readonly patience: Millis
  /** The last record that was written by who did this before, for a pipe, which does not say. Default: what it is to get begins now. */
  readonly reached?: number | undefined
}

/** Brings one file up to date with the audit log. Each record is in it at least once, in order. @see AUD-30 */
export class AuditFollower implements Disposable {
  readonly #options: FollowerOptions
  readonly #reader: AuditReader
  readonly #file: AuditFile
  /** Last record that is in the file. `undefined` until it was opened. */
  #position: { readonly sequence: number; readonly hash: string | undefined } | undefined

  constructor(reader: AuditReader, options: FollowerOptions) {
    this.#options = options
    this.#reader = reader
    this.#file = new AuditFile(options.file, options.reached !== undefined)
  }

  /** Sequence of the last record that is in the file; `undefined` until it was opened. */
  get reached(): number | undefined {
    return this.#position?.sequence
  }

  /** Durable when it returns. @param progress is called now and then @throws Error of Node; IdentityError */
  follow(progress: () => void): void {
    this.#open()
    for (;;) {
      const { sequence, hash } = this.#position ?? BEGINNING
      const records = this.#reader.read(sequence, PAGE)
      const last = records.at(-1)
      if (last === undefined) return
      let previous = hash
      const lines = records.map((record) => {
        const text = encodeEnvelope(this.#options.trustDomain, record, previous)
        previous = record.hash
        return `${text}\n`
      })
      this.#file.append(lines.join(""), this.#options.patience)
      this.#position = last
      if (records.length < PAGE) return
      progress()
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
    this.#reader[Symbol.dispose]()
  }

  /** Where nobody knows where to go on, nothing is written, however often it is tried. @see AUD-35 */
  #open(): void {
    const line = this.#file.open()
    if (line === undefined) return
    try {
      this.#position = this.#find(line)
    } catch (error) {
      this.#file.close()
      throw error
    }
  }

  /** Where to go on in a file that was just opened. */
  #find(line: string): { readonly sequence: number; readonly hash: string | undefined } {
    if (line === "") return this.#begin()
    const { sequence, hash } = parseEnvelope(line)
    const [kept] = this.#reader.read(sequence - 1, 1)
    if (kept?.sequence === sequence && kept.hash === hash) return { sequence, hash }
    // The store was set back to an older state, or the file is another's: to go on would hide it.
    throw new IdentityError("conflict", `record ${sequence} of the file is not the one of the store`)
  }

  /** An empty file goes on where the one before ended; where that is not known, with its beginning: better twice than never. */
  #begin(): { readonly sequence: number; readonly hash: string | undefined } {
    const { file, reached } = this.#options
    const { isPipe } = this.#file
    const known = this.#position?.sequence ?? (isPipe ? (reached ?? this.#reader.newest()) : readBeginning(file)) ?? 0
    if (!isPipe) writeBeginning(file, known)
    return { sequence: known, hash: known === 0 ? undefined : this.#reader.read(known - 1, 1)[0]?.hash }
  }
}

const BEGINNING = { sequence: 0, hash: undefined }
const PAGE = 1000
