import assert from "node:assert/strict"
import { test } from "node:test"
import { encodeAudit } from "../../../../src/adapters/sqlite/audit-row.ts"
import { encodeIntent } from "../../../../src/adapters/sqlite/intent-row.ts"
import type { Job, JobResult } from "../../../../src/adapters/sqlite/job.ts"
import { packJobs, packResults, unpackJobs, unpackResults } from "../../../../src/adapters/sqlite/packed-jobs.ts"
import type { Renewal } from "../../../../src/core/lineage/lineage.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent } from "../../../support/issuance-fixtures.ts"

test("jobs arrive as they were sent, in any mix", () => {
  const jobs: readonly Job[] = [
    order("a", undefined),
    { kind: "barrier" },
    order("b", new Uint8Array(32).fill(7)),
    { kind: "sign", key: 0, data: new Uint8Array(3).fill(1), form: "der" },
    order("c", undefined),
    order("d", undefined, { key: "5a", quoted: undefined, isSole: true }),
    order("e", new Uint8Array(32).fill(8), { key: "5a", quoted: "01ab", isSole: false }),
  ]
  assert.deepEqual(unpackJobs(structuredClone(packJobs(jobs))), jobs)
  assert.deepEqual(unpackJobs(packJobs([])), [])
})

test("answers arrive as they were sent, in any mix", () => {
  const results: readonly JobResult[] = [
    { kind: "signed", signature: new Uint8Array(70).fill(1) },
    { kind: "done" },
    { kind: "signed", signature: new Uint8Array(64).fill(2) },
    {
      kind: "failed",
      failure: { code: "not-ready", message: "m", reason: undefined, next: undefined, detail: undefined },
    },
  ]
  assert.deepEqual(unpackResults(structuredClone(packResults(results))), results)
})

function order(serial: string, idempotencyKey: Uint8Array | undefined, renewal: Renewal | null = null): Job {
  const intent = fixtureIntent(serial, { idempotencyKey })
  return {
    kind: "order",
    key: 4,
    form: "p1363",
    outcome: "digest",
    tbs: intent.tbs,
    recording: {
      kind: "intent",
      intent: encodeIntent(intent),
      idempotencyKey: idempotencyKey ?? null,
      reuseSince: FIXTURE_NOW,
      bansSeen: 9,
      audit: encodeAudit(fixtureGrant(serial)),
      renewal,
    },
  }
}
