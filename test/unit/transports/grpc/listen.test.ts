import assert from "node:assert/strict"
import { once } from "node:events"
import { test } from "node:test"
import { Client, credentials, type UntypedServiceImplementation } from "@grpc/grpc-js"
import { listenGrpc } from "../../../../src/transports/grpc/listen.ts"
import { makeScratch } from "../../../support/scratch.ts"
import { until } from "../../../support/until.ts"

const same = (bytes: Buffer) => bytes
const METHOD = {
  path: "/test.Echo/Talk",
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const
const LIMITS = { messageBytes: 1024, streamsPerConnection: 4, connectionAge: undefined }

for (const kind of ["unix socket", "TCP port"] as const) {
  test(`on a ${kind}, a call gets the drain time to end, and is cut then`, async () => {
    await using folder = await makeScratch("listen")
    const address = kind === "TCP port" ? "127.0.0.1:0" : `unix:${folder.path("s")}`
    // Says something and never ends.
    const talk: UntypedServiceImplementation = {
      talk: (call: { write(bytes: Buffer): void; on(event: "error", listener: () => void): void }) => {
        call.on("error", () => undefined)
        call.write(Buffer.from("hello"))
      },
    }
    const listener = await listenGrpc(
      address,
      undefined,
      [{ definition: { talk: METHOD }, implementation: talk }],
      LIMITS,
      200,
    )
    const client = new Client(address.replace(/:0$/, `:${listener.port}`), credentials.createInsecure())
    const call = client.makeBidiStreamRequest(METHOD.path, same, same)
    const failures: unknown[] = []
    call.on("error", (failure) => failures.push(failure))
    await once(call, "data")
    const closed = listener[Symbol.asyncDispose]()
    assert.deepEqual(failures, [])
    await closed
    await until("the call to fail", () => failures.length === 1)
    client.close()
  })
}

test("with nothing open, closing does not wait", async () => {
  const listener = await listenGrpc("127.0.0.1:0", undefined, [], LIMITS, 3_600_000)
  await listener[Symbol.asyncDispose]()
})
