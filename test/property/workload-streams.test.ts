import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { IdentityView } from "../../src/app/deliver/identity-source.ts"
import { JWTBundlesResponse, X509BundlesResponse, X509SVIDResponse } from "../../src/gen/spiffe/workload.ts"
import { encodeJwtBundles } from "../../src/transports/workload/jwt-responses.ts"
import { makeWorkloadService } from "../../src/transports/workload/workload-service.ts"
import { encodeX509Bundles, encodeX509Svids } from "../../src/transports/workload/x509-responses.ts"
import { quietLog } from "../support/quiet-log.ts"
import { FakeStream } from "../support/sds-model/fake-stream.ts"
import { type Change, SdsWorld } from "../support/sds-model/world.ts"

/** What each method says of a state. */
const METHODS = {
  fetchX509Svid: (view: IdentityView) => X509SVIDResponse.encode(encodeX509Svids(view)).finish(),
  fetchX509Bundles: (view: IdentityView) => X509BundlesResponse.encode(encodeX509Bundles(view)).finish(),
  fetchJwtBundles: (view: IdentityView) => JWTBundlesResponse.encode(encodeJwtBundles(view)).finish(),
} as const
const ENCODERS = {
  fetchX509Svid: X509SVIDResponse,
  fetchX509Bundles: X509BundlesResponse,
  fetchJwtBundles: JWTBundlesResponse,
}
type Method = keyof typeof METHODS

type Step =
  | { readonly kind: "open"; readonly method: Method }
  | { readonly kind: "block" | "free" | "cancel"; readonly reader: number }
  | { readonly kind: "change"; readonly change: Change }
  | { readonly kind: "rest"; readonly turns: number }

/** A workload on one stream, which holds each message against what it may be. */
class Reader {
  readonly method: Method
  readonly stream: FakeStream<never, object>
  last: Uint8Array | undefined
  #state = 0

  constructor(method: Method, world: SdsWorld) {
    this.method = method
    this.stream = new FakeStream((message) => {
      try {
        this.#received(message, world)
      } catch (error) {
        world.failures.push(error)
      }
    })
    this.stream.metadata.set("workload.spiffe.io", "true")
  }

  #received(message: object, world: SdsWorld): void {
    assert.ok(this.stream.status === undefined, "a message after the end")
    assert.ok(world.isReady, "a message while there is no identity")
    const bytes = ENCODERS[this.method].encode(message as never).finish()
    assert.notDeepEqual(bytes, this.last, "the same message twice")
    const rest = world.views.slice(this.#state)
    const later = rest.findIndex((view) => Buffer.compare(METHODS[this.method](view), bytes) === 0)
    assert.ok(later >= 0, "a message of no state, or of one that was overtaken")
    this.#state += later
    this.last = bytes
  }
}

async function walk(path: readonly Step[]): Promise<void> {
  const world = new SdsWorld()
  const readers: Reader[] = []
  const closing = new AbortController()
  const service = makeWorkloadService({
    sourceFor: () => world.source,
    validateJwtSvid: () => Promise.reject(new Error("not asked here")),
    log: quietLog,
    limits: { streams: 1000, unary: 1000 },
    closing: closing.signal,
  })
  world.source.onReport = (consumer, { epoch }) => {
    const before = reported.get(consumer) ?? 0
    if (epoch < before) world.failures.push(new Error(`${consumer} went back from epoch ${before} to ${epoch}`))
    reported.set(consumer, epoch)
  }
  const reported = new Map<string, number>()
  for (const step of path) {
    const live = readers.filter(({ stream }) => stream.status === undefined)
    if (step.kind === "open") {
      const reader = new Reader(step.method, world)
      readers.push(reader)
      service[step.method](reader.stream.asCall as never)
    } else if (step.kind === "change") world.change(step.change)
    else if (step.kind === "rest") await rest(step.turns)
    else act(live[step.reader % Math.max(1, live.length)], step.kind)
  }
  const isOver = !world.isReady
  for (const { stream } of readers) stream.free()
  await rest(6)
  if (world.failures.length > 0) throw world.failures[0]
  for (const reader of readers) demandEnd(reader, world, isOver)
  closing.abort()
  await rest(6)
  assert.deepEqual([world.source.reports.size, world.source.waiting], [0, 0])
}

function act(reader: Reader | undefined, kind: "block" | "free" | "cancel"): void {
  if (reader === undefined) return
  if (kind === "cancel") reader.stream.leave("cancelled")
  else if (kind === "block") reader.stream.isBlocked = true
  else reader.stream.free()
}

function demandEnd({ stream, method, last }: Reader, world: SdsWorld, isOver: boolean): void {
  if (stream.isLeft) return
  if (isOver) assert.ok(stream.status === 7 || stream.status === 14, `status ${stream.status}`)
  // The others were refused while there was no identity.
  else if (stream.status === undefined) {
    assert.deepEqual(last, METHODS[method](world.views.at(-1) ?? assert.fail()), "not the newest")
  }
}

async function rest(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const reader = fc.nat({ max: 20 })
const method = fc.constantFrom<Method>("fetchX509Svid", "fetchX509Svid", "fetchX509Bundles", "fetchJwtBundles")
const change = fc.constantFrom<Change>(
  "renew",
  "renew",
  "root",
  "root-and-renew",
  "partner",
  "second",
  "back",
  "back",
  "deny",
  "wait",
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("open" as const), method }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("block" as const, "free" as const, "free" as const), reader }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), reader }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("change" as const), change }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("rest" as const), turns: fc.nat({ max: 2 }) }) },
)

test("streams of the Workload API get the newest of what there is, in order, nothing twice, and nothing after a denial", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), walk), { seed: 1, numRuns: 300 })
})
