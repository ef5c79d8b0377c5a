import type { AuditEntry } from "../../core/audit/record.ts"
import { joinBytes } from "../../core/bytes.ts"
import type { Renewal } from "../../core/lineage/lineage.ts"
import { BYTE_COLUMNS, SCALAR_COLUMNS } from "./intent-row.ts"
import type { Job, JobResult, OrderJob } from "./job.ts"

/**
 * Jobs on their way between threads. Cloning an array of text and numbers is cheap and cloning a small byte array is not, so
 * orders lie flat in one array, and their bytes in one buffer. Other jobs are rare and travel as they are.
 */
export interface PackedJobs {
  readonly cells: readonly (string | number | null | Job)[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** The same for answers: a number is the length of a signature. */
export interface PackedResults {
  readonly results: readonly (number | JobResult)[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

export function packJobs(jobs: readonly Job[]): PackedJobs {
  const cells: (string | number | null | Job)[] = []
  const chunks: Uint8Array[] = []
  for (const job of jobs) {
    if (job.kind === "order") packOrder(job, cells, chunks)
    else cells.push(job)
  }
  return { cells, bytes: joinBytes(chunks) }
}

export function unpackJobs({ cells, bytes }: PackedJobs): readonly Job[] {
  const jobs: Job[] = []
  const reader = new CellReader(cells, bytes)
  while (!reader.done) jobs.push(reader.job())
  return jobs
}

export function packResults(results: readonly JobResult[]): PackedResults {
  const chunks: Uint8Array[] = []
  const packed = results.map((result) => {
    if (result.kind !== "signed") return result
    chunks.push(result.signature)
    return result.signature.length
  })
  return { results: packed, bytes: joinBytes(chunks) }
}

export function unpackResults({ results, bytes }: PackedResults): readonly JobResult[] {
  let at = 0
  return results.map((result) => {
    if (typeof result !== "number") return result
    at += result
    return { kind: "signed", signature: bytes.subarray(at - result, at) }
  })
}

/** In the order in which {@link CellReader} reads. */
function packOrder(order: OrderJob, cells: (string | number | null | Job)[], chunks: Uint8Array[]): void {
  const { recording, key, form, outcome } = order
  cells.push(key, form, outcome, recording.reuseSince, recording.bansSeen)
  for (const value of recording.intent) {
    if (value instanceof Uint8Array) {
      cells.push(value.length)
      chunks.push(value)
    } else cells.push(value)
  }
  const { at, type, actor, requestId, data } = recording.audit
  const { renewal } = recording
  cells.push(at, type, actor, requestId, data, renewal?.key ?? null, renewal?.quoted ?? null, renewal?.isSole ? 1 : 0)
}

class CellReader {
  readonly #cells: PackedJobs["cells"]
  readonly #bytes: Uint8Array
  #cell = 0
  #byte = 0

  constructor(cells: PackedJobs["cells"], bytes: Uint8Array) {
    this.#cells = cells
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#cell === this.#cells.length
  }

  job(): Job {
    const first = this.#cells[this.#cell++]
    return typeof first === "number" ? this.#order(first) : (first as Job) // packJobs begins an order with a number
  }

  #order(key: number): OrderJob {
    const form = this.#cells[this.#cell++] === "der" ? "der" : "p1363"
    const outcome = this.#cells[this.#cell++] === "signature" ? "signature" : "digest"
    const reuseSince = Number(this.#cells[this.#cell++])
    const bansSeen = Number(this.#cells[this.#cell++])
    const intent: (string | number | null | Uint8Array)[] = this.#scalars(SCALAR_COLUMNS)
    for (let i = 0; i < BYTE_COLUMNS; i++) intent.push(this.#take())
    const [, idempotencyKey, tbs] = intent.slice(SCALAR_COLUMNS) as [Uint8Array, Uint8Array | null, Uint8Array]
    const audit = this.#entry()
    const renewal = this.#renewal()
    return {
      kind: "order",
      key,
      form,
      outcome,
      tbs,
      recording: { kind: "intent", intent, idempotencyKey, reuseSince, bansSeen, audit, renewal },
    }
  }

  #entry(): AuditEntry {
    const [at, type, actor, requestId, data] = this.#scalars(5) as [number, string, string, string, string]
    return { at, type, actor, requestId, data }
  }

  #renewal(): Renewal | null {
    const [key, quoted, isSole] = this.#scalars(3) as [string | null, string | null, number]
    return key === null ? null : { key, quoted: quoted ?? undefined, isSole: isSole === 1 }
  }

  #scalars(count: number): (string | number | null)[] {
    const from = this.#cell
    this.#cell += count
    return this.#cells.slice(from, this.#cell) as (string | number | null)[] // as packOrder put them there
  }

  #take(): Uint8Array | null {
    const length = this.#cells[this.#cell++]
    if (typeof length !== "number") return null
    this.#byte += length
    return this.#bytes.subarray(this.#byte - length, this.#byte)
  }
}
