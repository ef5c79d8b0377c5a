import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { startEnvoy } from "../support/peers/envoy.ts"
import { skipWithout } from "../support/peers/peer.ts"

describe("the real Envoy of the tests", { skip: await skipWithout("envoy") }, () => {
  test("answers at the port it chose and counts the requests", async () => {
    await using envoy = await startEnvoy({ name: "hello", bootstrapYaml: JSON.stringify(hello()) })
    const url = `http://127.0.0.1:${await envoy.listenerPort("hello")}/`
    assert.equal(await (await fetch(url)).text(), "hello")
    assert.equal(await envoy.untilStat("http.hello.downstream_rq_2xx", (count) => count > 0), 1)
  })

  test("says why it did not start", async () => {
    await assert.rejects(startEnvoy({ name: "broken", bootstrapYaml: "no_such_field: 1" }), /no_such_field/)
  })

  test("is gone once disposed of", async () => {
    const envoy = await startEnvoy({ name: "short", bootstrapYaml: JSON.stringify(hello()) })
    await envoy[Symbol.asyncDispose]()
    assert.equal(envoy.running, false)
    await assert.rejects(fetch(envoy.adminUrl))
  })
})

function hello(): object {
  const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.${name}`
  const router = { name: "envoy.filters.http.router", typed_config: { "@type": type("http.router.v3.Router") } }
  const routes = [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "hello" } } }]
  const manager = {
    "@type": type("network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "hello",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [router],
  }
  const filters = [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }]
  const address = { socket_address: { address: "127.0.0.1", port_value: 0 } }
  return { static_resources: { listeners: [{ name: "hello", address, filter_chains: [{ filters }] }] } }
}
