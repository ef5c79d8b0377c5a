import assert from "node:assert/strict"
import { join } from "node:path"
import test from "node:test"
import { Client, credentials } from "@grpc/grpc-js"
import {
  ServerReflectionClient,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../src/gen/grpc/reflection/v1/reflection.ts"
import { readDescriptorSet } from "../../src/transports/grpc/descriptors.ts"
import { listenGrpc } from "../../src/transports/grpc/listen.ts"
import { makeReflectionServices } from "../../src/transports/grpc/reflection-service.ts"
import { makeScratch } from "../support/scratch.ts"

type Question = Exclude<ServerReflectionRequest["messageRequest"], undefined>
type Answer = ServerReflectionResponse["messageResponse"]

const SERVED = ["SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService"]
const LIMITS = { messageBytes: 65_536, headerBytes: 8192, streamsPerConnection: 8, connectionAge: undefined }

async function ask(questions: readonly Question[]): Promise<readonly Answer[]> {
  await using scratch = await makeScratch()
  const address = `unix:${join(scratch.path("r.sock"))}`
  await using _listener = await listenGrpc(address, undefined, makeReflectionServices(SERVED), LIMITS, 1000)
  const client = new ServerReflectionClient(address, credentials.createInsecure())
  try {
    const stream = client.serverReflectionInfo()
    for (const messageRequest of questions) stream.write({ host: "", messageRequest })
    stream.end()
    const answers: Answer[] = []
    for await (const { messageResponse } of stream) answers.push(messageResponse)
    return answers
  } finally {
    client.close()
  }
}

test("[WE-12] lists the services, and describes each with all that its files import", async () => {
  const [list, ...files] = await ask([
    { $case: "listServices", value: "*" },
    ...SERVED.map((value) => ({ $case: "fileContainingSymbol", value }) as const),
  ])
  assert.ok(list?.$case === "listServicesResponse")
  assert.deepEqual(
    list.value.service.map(({ name }) => name),
    SERVED,
  )
  for (const [index, file] of files.entries()) {
    assert.ok(file?.$case === "fileDescriptorResponse")
    const described = file.value.fileDescriptorProto.flatMap((bytes) => readDescriptorSet(asSet(bytes)))
    const names = new Set(described.map(({ name }) => name))
    assert.ok(described[0]?.symbols.includes(SERVED[index] ?? ""))
    for (const { imports } of described) assert.ok(imports.every((name) => names.has(name)))
  }
})

test("[WE-12] finds files by name, and methods, messages and nested messages by their full name", async () => {
  const answers = await ask([
    { $case: "fileByFilename", value: "spiffe/workload.proto" },
    { $case: "fileContainingSymbol", value: "SpiffeWorkloadAPI.FetchX509SVID" },
    { $case: "fileContainingSymbol", value: "X509SVIDResponse" },
    { $case: "fileContainingSymbol", value: "X509SVIDResponse.FederatedBundlesEntry" },
  ])
  const firsts = answers.map((answer) => {
    assert.ok(answer?.$case === "fileDescriptorResponse")
    return answer.value.fileDescriptorProto.flatMap((bytes) => readDescriptorSet(asSet(bytes)))[0]?.name
  })
  assert.deepEqual(firsts, Array(4).fill("spiffe/workload.proto"))
})

test("[WE-12] what is not known is answered, and the stream goes on", async () => {
  const answers = await ask([
    { $case: "fileContainingSymbol", value: "no.such.Symbol" },
    { $case: "fileByFilename", value: "__proto__" },
    { $case: "allExtensionNumbersOfType", value: "X509SVID" },
    { $case: "listServices", value: "" },
  ])
  const kinds = answers.map((answer) => (answer?.$case === "errorResponse" ? answer.value.errorCode : answer?.$case))
  assert.deepEqual(kinds, [5, 5, 5, "listServicesResponse"])
})

test("[WE-12] answers under the name of v1alpha as well", async () => {
  await using scratch = await makeScratch()
  const address = `unix:${join(scratch.path("r.sock"))}`
  await using _listener = await listenGrpc(address, undefined, makeReflectionServices(SERVED), LIMITS, 1000)
  const client = new Client(address, credentials.createInsecure())
  const same = (bytes: Buffer) => bytes
  const path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
  const stream = client.makeBidiStreamRequest(path, same, same)
  stream.end(Buffer.from([0x3a, 0x01, 0x2a])) // list_services: "*"
  const replies: Buffer[] = []
  for await (const reply of stream) replies.push(reply)
  client.close()
  for (const name of SERVED) assert.ok(Buffer.concat(replies).includes(name))
})

/** A descriptor set of one file. */
function asSet(file: Uint8Array): Uint8Array {
  const length = file.length
  const varint = [length & 0x7f, length >> 7]
  if (length >= 128) varint[0] = (varint[0] ?? 0) | 0x80
  return Buffer.concat([Buffer.from([0x0a, ...(length >= 128 ? varint : [length])]), file])
}
