import assert from "node:assert/strict"
import { createHash, createPublicKey, verify } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { describe, test } from "node:test"
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js"
import { IdentityError } from "../../src/core/errors.ts"
import { encodePem } from "../../src/core/x509/pem.ts"
import {
  BatchIssueX509Response,
  BatchX509Result,
  IdentityService,
  type IssueX509Request,
  IssueX509Response,
  Problem,
  type SubscribeRequest,
  SubscribeResponse,
} from "../../src/gen/assay/v1/identity.ts"
import { toStatus } from "../../src/transports/grpc/status.ts"
import { FakeSource } from "../support/fake-source.ts"
import { meshView } from "../support/mesh.ts"
import { runLoad, startSdsFleet, startSubscriberFleet } from "../support/peers/load.ts"
import { skipWithout } from "../support/peers/peer.ts"
import { makeScratch } from "../support/scratch.ts"
import { listenSds } from "../support/sds-under-test.ts"
import { makeTestCa, type TestCa } from "../support/test-ca.ts"

describe("the compiled load client of the benchmark", { skip: await skipWithout("load") }, () => {
  const ca = makeTestCa()
  // Over when the keys are used up, however fast that goes.
  const brief = { duration: "60s", warmup: "0s", keys: 400, "in-flight": 4, conns: 2 }

  test("proves each key for the token it is sent with, and uses no key twice", async () => {
    await using server = await listenCounting(ca)
    const result = await runLoad("issue-x509", { ...brief, ...server.flags }, 30_000)
    assert.equal(result.errors, 0, result.firstError)
    assert.ok(result.count > 0 && result.p99Ms >= result.p50Ms)
    assert.equal(server.keys.size, server.items())
    assert.deepEqual(server.tokens, new Set(["token-a", "token-b"]))
  })

  test("counts the items of a batch, and its problems as errors", async () => {
    await using server = await listenCounting(ca, 4)
    const flags = { ...brief, ...server.flags, batch: 8, "item-tokens": true } as const
    const result = await runLoad("batch-x509", flags, 30_000)
    assert.ok(result.count > 0)
    assert.equal(result.errors * 3, result.count)
    assert.equal(result.firstError, "every fourth")
    assert.equal(server.keys.size, server.items())
  })

  test("says for how long it measured when its keys run out", async () => {
    await using server = await listenCounting(ca)
    const flags = { ...brief, ...server.flags, keys: 20 } as const
    const result = await runLoad("issue-x509", flags, 90_000)
    assert.equal(result.count, 20)
    assert.ok(result.keysExhausted && result.seconds < 60)
  })

  test("subscribes with each token, renews at once when a stream ends, and says how each went", async () => {
    await using server = await listenParting(ca, ["token-a", "token-b", "token-c"])
    await using fleet = await startSubscriberFleet({ ...server.flags, conns: 2 }, 30_000)
    const parted = await fleet.mark(30_000)
    server.part()
    const { seconds, outcomes } = await parted()
    assert.ok(seconds >= 0)
    assert.deepEqual(outcomes, { "evicted banned banned": 2, "EOF ok": 1 })
  })

  for (const delta of [false, true]) {
    test(`holds SDS streams and sees a push reach all of them, ${delta ? "delta" : "state of the world"}`, async () => {
      await using folder = await makeScratch("fleet")
      const web = "spiffe://example.org/ns/demo/sa/web"
      const source = new FakeSource({ kind: "ready", view: meshView(1, web, ca) })
      const path = folder.path("sds.sock")
      await using sds = await listenSds({ path, source })
      const flags = { target: `unix://${path}`, streams: 200, conns: 2, ...(delta ? { delta } : {}) } as const
      const { fleet, opened } = await startSdsFleet(flags, 30_000)
      await using _fleet = fleet
      assert.deepEqual([opened.acked, opened.ended, sds.streams()], [200, 0, 200])
      const acked = await fleet.mark(30_000)
      source.ready(meshView(2, web, ca))
      const pushed = await acked()
      assert.deepEqual([pushed.acked, pushed.ended, sds.answers.nack], [200, 0, 0])
    })
  }
})

/** Answers every call after it has checked the proof; in a batch, each `failEvery`-th item is a problem. */
async function listenCounting(ca: TestCa, failEvery = Number.POSITIVE_INFINITY) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("load"))
  const paths = { ca: folder.path("ca.pem"), tokens: folder.path("tokens") }
  await writeFile(paths.ca, encodePem("CERTIFICATE", ca.root.certificate.der))
  await writeFile(paths.tokens, "token-a\ntoken-b\n")
  const seen = { keys: new Set<string>(), tokens: new Set<string>() }
  let items = 0
  const issue = (item: IssueX509Request, callToken: string) => {
    items += 1
    checkProof(item, item.token || callToken, seen)
    return IssueX509Response.fromPartial({ chain: [Buffer.from("leaf")] })
  }
  const server = new Server()
  server.addService(
    { issueX509: IdentityService.issueX509, batchIssueX509: IdentityService.batchIssueX509 },
    {
      issueX509: unary((request: IssueX509Request, token) => issue(request, token)),
      batchIssueX509: unary((request: { items: IssueX509Request[] }, token) => {
        const results = request.items.map((item, index) => {
          const issued = issue(item, token)
          if (index % failEvery !== failEvery - 1)
            return BatchX509Result.fromPartial({ result: { $case: "issued", value: issued } })
          const problem = Problem.fromPartial({ message: "every fourth" })
          return BatchX509Result.fromPartial({ result: { $case: "problem", value: problem } })
        })
        return BatchIssueX509Response.fromPartial({ results })
      }),
    },
  )
  stack.defer(() => server.forceShutdown())
  const port = await bind(server, ca)
  const moved = stack.move()
  return {
    ...seen,
    items: () => items,
    flags: { target: `127.0.0.1:${port}`, ca: paths.ca, tokens: paths.tokens },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

/** Ends every stream at {@link part}, and refuses their renewals; the last token may go on. */
async function listenParting(ca: TestCa, tokens: readonly string[]) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("parting"))
  const paths = { ca: folder.path("ca.pem"), tokens: folder.path("tokens") }
  await writeFile(paths.ca, encodePem("CERTIFICATE", ca.root.certificate.der))
  await writeFile(paths.tokens, tokens.join("\n"))
  const banned = new IdentityError("policy-denied", "banned", { reason: "banned" })
  const isSpared = (metadata: Metadata) => String(metadata.get("authorization")[0]).endsWith(tokens.at(-1) ?? "")
  const streams: ServerDuplexStream<SubscribeRequest, SubscribeResponse>[] = []
  const server = new Server()
  const { issueX509, subscribe } = IdentityService
  server.addService(
    { issueX509, subscribe },
    {
      issueX509: (
        call: ServerUnaryCall<IssueX509Request, IssueX509Response>,
        reply: sendUnaryData<IssueX509Response>,
      ) => (isSpared(call.metadata) ? reply(null, IssueX509Response.fromPartial({})) : reply(toStatus(banned))),
      subscribe: (stream: ServerDuplexStream<SubscribeRequest, SubscribeResponse>) => {
        streams.push(stream.on("data", () => undefined))
        stream.write(SubscribeResponse.fromPartial({ message: { $case: "snapshot", value: { epoch: 1 } } }))
      },
    },
  )
  stack.defer(() => server.forceShutdown())
  const port = await bind(server, ca)
  const moved = stack.move()
  return {
    part: () => {
      for (const stream of streams) {
        if (isSpared(stream.metadata)) stream.end()
        else evict(stream, banned)
      }
    },
    flags: { target: `127.0.0.1:${port}`, ca: paths.ca, tokens: paths.tokens },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  }
}

function evict(stream: ServerDuplexStream<SubscribeRequest, SubscribeResponse>, error: IdentityError): void {
  const directive = { directive: { $case: "evict", value: { reason: "banned" } } } as const
  stream.write({ message: { $case: "directive", value: directive } })
  stream.emit("error", toStatus(error))
}

function checkProof(item: IssueX509Request, token: string, seen: { keys: Set<string>; tokens: Set<string> }): void {
  if (item.key?.$case !== "provenKey") throw new Error("the request has no proven key")
  const { publicKey, proof } = item.key.value
  const label = Buffer.from("assay.v1 proof of possession\0")
  const message = Buffer.concat([label, createHash("sha256").update(token).digest(), publicKey])
  const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" })
  if (!verify("sha256", message, key, proof)) throw new Error("the proof does not verify")
  seen.keys.add(Buffer.from(publicKey).toString("base64"))
  seen.tokens.add(token)
}

function unary<Request, Reply>(answer: (request: Request, token: string) => Reply) {
  return (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>) => {
    const authorization = String(call.metadata.get("authorization")[0] ?? "")
    try {
      reply(null, answer(call.request, authorization.replace("Bearer ", "")))
    } catch (failure) {
      reply({ code: status.UNAUTHENTICATED, details: String(failure) })
    }
  }
}

function bind(server: Server, ca: TestCa): Promise<number> {
  const leaf = ca.issueLeaf("spiffe://example.org/assay/server", { ipAddresses: [Uint8Array.of(127, 0, 0, 1)] })
  const chain = Buffer.from(leaf.chain.map((der) => encodePem("CERTIFICATE", der)).join(""))
  const pair = { cert_chain: chain, private_key: Buffer.from(encodePem("PRIVATE KEY", leaf.pkcs8)) }
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createSsl(null, [pair]), (failure, port) => {
      if (failure === null) resolve(port)
      else reject(failure)
    })
  })
}
