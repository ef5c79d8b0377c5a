import assert from "node:assert/strict"
import { once } from "node:events"
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2"
import type { AddressInfo } from "node:net"
import { after, test } from "node:test"
import { gzipSync } from "node:zlib"
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js"
import { DirectCall, type DirectMethod } from "../../src/transports/grpc/direct-call.ts"
import { type GrpcService, listenGrpc } from "../../src/transports/grpc/listen.ts"
import { frameMessage } from "../../src/transports/grpc/unary-body.ts"
import type { UnaryCall, UnaryReply } from "../../src/transports/grpc/unary-call.ts"
import { until } from "../support/until.ts"

const LIMITS = { messageBytes: 1024, streamsPerConnection: 100, connectionAge: undefined }
/** The same method behind both ways, so that their answers can be compared. */
const WAYS = ["direct", "library"] as const
type Way = (typeof WAYS)[number]

const seen: UnaryCall<Buffer>[] = []
let cancelled = 0
/** Let the call that waits be answered. */
const late: (() => void)[] = []

function handle(call: UnaryCall<Buffer>, reply: UnaryReply<Buffer>): void {
  seen.push(call)
  const text = call.request.toString()
  if (text === "wait") {
    call.once("cancelled", () => cancelled++)
    late.push(() => reply(null, Buffer.from("late")))
    return
  }
  if (text === "half a character") {
    reply({ code: 7, details: "\ud800" })
    return
  }
  if (text !== "fail") {
    reply(null, Buffer.from(`${text} ${call.metadata.get("x-word").join()}`))
    return
  }
  const metadata = new Metadata()
  metadata.set("grpc-status-details-bin", Buffer.from([1, 2, 3]))
  reply({ code: 7, details: "no, nö 100%", metadata })
}

function serviceOf(way: Way): GrpcService {
  const definition = { say: methodOf(way) }
  return way === "direct"
    ? { definition, implementation: { say: handle }, direct: ["say"] }
    : { definition, implementation: { say: handle } }
}

function methodOf(way: Way) {
  const same = (bytes: Buffer): Buffer => bytes
  const refusing = (bytes: Buffer): Buffer => {
    if (bytes.toString() === "garbage") throw new Error("not a message")
    return bytes
  }
  const codec = {
    requestSerialize: same,
    requestDeserialize: refusing,
    responseSerialize: (bytes: Buffer): Buffer => {
      if (bytes.toString().startsWith("unsendable")) throw new Error("not a message")
      return bytes
    },
    responseDeserialize: same,
  }
  return { path: `/test.${way}/Say`, requestStream: false, responseStream: false, ...codec } as const
}

const listener = await listenGrpc("127.0.0.1:0", undefined, WAYS.map(serviceOf), LIMITS, 1000)
const client = new Client(`127.0.0.1:${listener.port}`, credentials.createInsecure())
const session: ClientHttp2Session = connect(`http://127.0.0.1:${listener.port}`)
after(async () => {
  client.close()
  session.close()
  await listener[Symbol.asyncDispose]()
})

/** An HTTP/2 server of nothing else, and a client of it. */
async function listenHttp2(onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void) {
  const server = createServer().on("stream", onStream).listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  const own = connect(`http://127.0.0.1:${port}`)
  const close = async (): Promise<void> => {
    own.close()
    server.close()
    await once(server, "close")
  }
  return { client: own, [Symbol.asyncDispose]: close }
}

interface Outcome {
  readonly code: number
  readonly text: string
  readonly details: readonly (string | Buffer)[]
}

function say(
  way: Way,
  text: string,
  options: { readonly deadline?: number; readonly signal?: AbortSignal } = {},
): Promise<Outcome> {
  const { path, requestSerialize, responseDeserialize } = methodOf(way)
  const metadata = new Metadata()
  metadata.set("x-word", "word")
  const { deadline, signal } = options
  return new Promise((resolve) => {
    const done = (error: ServiceError | null, value?: Buffer) => {
      const details = error?.metadata.get("grpc-status-details-bin") ?? []
      resolve({ code: error?.code ?? 0, text: error?.details ?? value?.toString() ?? "", details })
    }
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.from(text),
      metadata,
      deadline === undefined ? {} : { deadline },
      done,
    )
    signal?.addEventListener("abort", () => call.cancel())
  })
}

/** What a request of these bytes in these pieces is answered with. */
async function raw(way: Way, pieces: readonly Buffer[], headers: Readonly<Record<string, string>> = {}) {
  const common = { ":method": "POST", "content-type": "application/grpc", te: "trailers" }
  const stream = session.request({ ":path": methodOf(way).path, ...common, ...headers })
  const fields: Record<string, unknown> = {}
  stream.on("response", (response) => Object.assign(fields, response))
  stream.on("trailers", (trailers) => Object.assign(fields, trailers))
  for (const piece of pieces) {
    stream.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  stream.end()
  const chunks: Buffer[] = []
  stream.on("data", (chunk: Buffer) => chunks.push(chunk))
  await once(stream, "close")
  return { status: fields["grpc-status"], body: Buffer.concat(chunks).subarray(5).toString(), http: fields[":status"] }
}

test("[IDA-28] direct calls do not pass through the library, and others do", async () => {
  seen.length = 0
  for (const way of WAYS) await say(way, "hello")
  assert.deepEqual(
    seen.map((call) => "getPeer" in call),
    [false, true],
  )
})

for (const text of ["hello", "fail", "garbage", "unsendable", "", "x".repeat(1025)]) {
  test(`[IDA-28] both ways answer "${text.slice(0, 10)}" (${text.length} octets) alike`, async () => {
    const [direct, library] = await Promise.all(WAYS.map((way) => say(way, text)))
    assert.deepEqual(direct, library)
  })
}

const message = frameMessage(Buffer.from("hello"))
const zipped = (() => {
  const framed = frameMessage(gzipSync("hello"))
  framed[0] = 1
  return framed
})()

for (const [name, pieces, headers] of [
  ["a message octet by octet", [...message].map((octet) => Buffer.of(octet)), {}],
  ["a compressed message", [zipped], { "grpc-encoding": "gzip" }],
  ["a message in an encoding that nobody knows", [zipped], { "grpc-encoding": "lz5" }],
  ["two messages", [message, message], {}],
  ["no message", [], {}],
  ["half a message", [message.subarray(0, 7)], {}],
  ["half a frame", [message.subarray(0, 3)], {}],
  ["a message longer than the limit, before it is there", [Buffer.from([0, 0, 0, 5, 0]), Buffer.alloc(100)], {}],
  ["another content type of gRPC", [message], { "content-type": "application/grpc+json" }],
  ["a content type that is not gRPC", [message], { "content-type": "application/json" }],
  ["a timeout that is none", [message], { "grpc-timeout": "soon" }],
  ["the longest timeout", [message], { "grpc-timeout": "99999999S" }],
] as const) {
  test(`[IDA-28] both ways answer ${name} alike`, async () => {
    const [direct, library] = await Promise.all(WAYS.map((way) => raw(way, pieces, headers)))
    assert.deepEqual(direct, library)
  })
}

test("[IDA-28] a status text that is no Unicode is told as far as it goes", async () => {
  assert.deepEqual(await say("direct", "half a character"), { code: 7, text: "\ufffd", details: [] })
})

test("[IDA-28] a compressed message whose encoding is not named is refused", async () => {
  assert.deepEqual(await raw("direct", [zipped]), { status: "13", body: "", http: 200 })
})

test("[IDA-28] whoever resets a call just before its answer harms nobody", async () => {
  let streams = 0
  const definition = methodOf("direct")
  await using server = await listenHttp2((stream, headers) => {
    streams++
    const handle = (_: unknown, reply: UnaryReply<unknown>): void => {
      // Gone, but not yet known to be.
      stream.destroy()
      if (streams === 1) reply(null, Buffer.from("too late"))
      else reply({ code: 7, details: "too late" })
    }
    new DirectCall(stream, headers, { definition, handle } as DirectMethod, 1024)
  })
  for (const expected of [1, 2]) {
    const stream = server.client.request({ ":path": definition.path, ":method": "POST" })
    stream.end(message)
    await once(stream, "close")
    assert.equal(streams, expected)
  }
})

for (const way of WAYS) {
  test(`[IDA-28] ${way}: a call is cancelled when its deadline passes, and is answered so`, async () => {
    cancelled = 0
    const outcome = await say(way, "wait", { deadline: Date.now() + 1000 })
    assert.equal(outcome.code, 4)
    await until("the handler to hear of it", () => cancelled === 1)
    for (const release of late.splice(0)) release()
  })

  test(`[IDA-28] ${way}: a call is cancelled when its caller goes away, and a late reply is nobody's`, async () => {
    cancelled = 0
    const stop = new AbortController()
    const outcome = say(way, "wait", { signal: stop.signal })
    await until("the handler to run", () => late.length === 1)
    stop.abort()
    assert.equal((await outcome).code, 1)
    await until("the handler to hear of it", () => cancelled === 1)
    for (const release of late.splice(0)) release()
    assert.equal((await say(way, "hello")).code, 0)
  })
}
