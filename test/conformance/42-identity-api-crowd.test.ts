import assert from "node:assert/strict"
import { test } from "node:test"
import { drawStreamAge } from "../../src/app/deliver/stream-age.ts"

test("[IDA-12] streams that began together do not end together", () => {
  const ages = Array.from({ length: 256 }, (_, drawn) => drawStreamAge(1800, () => Buffer.of(drawn)))
  assert.deepEqual([Math.min(...ages), Math.max(...ages)], [1620, 1800])
  assert.equal(new Set(ages).size, 256)
})
