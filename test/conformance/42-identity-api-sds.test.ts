import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { after, test } from "node:test"
import { credentials } from "@grpc/grpc-js"
import { Secret } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import { DiscoveryRequest } from "../../src/gen/envoy/service/discovery/v3/discovery.ts"
import { SecretDiscoveryServiceClient } from "../../src/gen/envoy/service/secret/v3/sds.ts"
import { bearer } from "../support/identity-peer.ts"
import { openSecretStream } from "../support/secret-stream.ts"
import { openServerUnderTest } from "../support/server-under-test.ts"
import { until } from "../support/until.ts"

let streamAge = 1800
const server = await openServerUnderTest({
  tune: (config) => ({ ...config, limits: { ...config.limits, streamAge } }),
})
after(() => server[Symbol.asyncDispose]())
const client = new SecretDiscoveryServiceClient(server.address, credentials.createSsl(Buffer.from(server.roots)), {
  "grpc.ssl_target_name_override": "localhost",
})
after(() => client.close())

const subscribe = (token: string | undefined) => openSecretStream(client, token)

test("[IDA-40] a proxy that shows its token gets key, chain and bundle; the log has what it was given", async () => {
  const stream = subscribe(server.setup.token())
  await until("both secrets", () => stream.secrets.length === 2)
  const found = stream.secrets.find(({ name }) => name === "default")
  assert.ok(found?.type?.$case === "tlsCertificate")
  const { certificateChain, privateKey } = found.type.value
  const leaf = new X509Certificate(inline(certificateChain))
  assert.equal(leaf.subjectAltName, "URI:spiffe://prod.example/ns/shop/sa/web")
  assert.match(inline(privateKey).toString(), /BEGIN PRIVATE KEY/)
  const [logged] = await server.state.store.issuanceLog.search({ serial: leaf.serialNumber.toLowerCase(), limit: 1 })
  assert.equal(logged?.intent.requester.namespace, "shop")
  stream.call.cancel()
})

test("[XDS-10][SDS-17][IDA-40] FetchSecrets waits for the first identity of a proxy that has just come", async () => {
  const secrets = await fetchSecrets(server.setup.token(), ["default", "ROOTCA"])
  assert.deepEqual(
    secrets.map(({ name, type }) => [name, type?.$case]),
    [
      ["default", "tlsCertificate"],
      ["ROOTCA", "validationContext"],
    ],
  )
})

test("[IDA-41] without a token, or with one that does not attest, there is nothing", async () => {
  for (const token of [undefined, "nonsense"]) {
    const stream = subscribe(token)
    await until("the end", () => stream.code !== undefined)
    assert.deepEqual([stream.code, stream.secrets.length], [16, 0])
  }
})

test("[IDA-41] a stream whose token expires ends, and the proxy comes back with a fresh one", async () => {
  const stream = subscribe(server.setup.token({ lifetime: 6 }))
  await until("both secrets", () => stream.secrets.length === 2)
  await until("the end", () => stream.code !== undefined)
  const again = subscribe(server.setup.token())
  await until("both secrets", () => again.secrets.length === 2)
  again.call.cancel()
})

test("[IDA-41][CFG-15] a stream that begins after stream_age was changed ends by the new one", async () => {
  streamAge = 1
  await server.reload({})
  const stream = subscribe(server.setup.token())
  await until("both secrets", () => stream.secrets.length === 2)
  await until("the end", () => stream.code !== undefined)
  assert.equal(stream.code, 0)
})

function fetchSecrets(token: string, resourceNames: string[]): Promise<Secret[]> {
  return new Promise((resolve, reject) => {
    const request = DiscoveryRequest.fromPartial({ resourceNames, node: { id: "envoy" } })
    client.fetchSecrets(request, bearer(token), (error, response) => {
      if (error === null) resolve(response.resources.map(({ value }) => Secret.decode(value)))
      else reject(error)
    })
  })
}

function inline(source: { specifier?: unknown } | undefined): Buffer {
  const { specifier } = source ?? {}
  assert.ok(typeof specifier === "object" && specifier !== null && "value" in specifier)
  assert.ok(Buffer.isBuffer(specifier.value))
  return specifier.value
}
