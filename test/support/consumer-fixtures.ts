import type { ConsumerRecord } from "../../src/ports/consumers.ts"
import { FIXTURE_NOW } from "./issuance-fixtures.ts"

/** A consumer that is there; `change` says what matters to the test. */
export function fixtureConsumer(change: Partial<ConsumerRecord> = {}): ConsumerRecord {
  return {
    id: "east/uid-web-0/sds/web",
    holder: {
      cluster: "east",
      namespace: "shop",
      serviceAccount: "web",
      pod: "web-0",
      podUid: "uid-web-0",
      node: "node-17",
      proof: "",
    },
    name: "web",
    kind: "sds",
    nackReason: undefined,
    notAfter: FIXTURE_NOW + 3600,
    lastContact: FIXTURE_NOW,
    leftAt: undefined,
    ...change,
  }
}
