import type { Operation, OperationResult } from "./operation.ts"

/** What is asked about keys that live in the store's thread. */
export type KeyJob =
  | { readonly kind: "make-key" }
  | { readonly kind: "load-key"; readonly pkcs8: Uint8Array }
  | { readonly kind: "forget-key"; readonly key: number }
  | { readonly kind: "sign"; readonly key: number; readonly data: Uint8Array; readonly form: "der" | "p1363" }

/** An intent that is signed as soon as it is durable, by a key of the thread. */
export interface OrderJob {
  readonly kind: "order"
  readonly recording: Extract<Operation, { readonly kind: "intent" }>
  /** The bytes to be signed, as they stand in the recording. */
  readonly tbs: Uint8Array
  readonly key: number
  readonly form: "der" | "p1363"
  /** What the log keeps of it: of a token only a digest. */
  readonly outcome: "signature" | "digest"
}

/** What the store's thread is asked. */
export type Job = Operation | KeyJob | OrderJob

export type JobResult =
  | OperationResult
  | { readonly kind: "key"; readonly key: number; readonly publicKey: Uint8Array }
  | { readonly kind: "signed"; readonly signature: Uint8Array }

export function isKeyJob(job: Job): job is KeyJob {
  return KEY_JOBS.has(job.kind)
}

const KEY_JOBS: ReadonlySet<Job["kind"]> = new Set(["make-key", "load-key", "forget-key", "sign"])
