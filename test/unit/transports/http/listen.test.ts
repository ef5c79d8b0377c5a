import assert from "node:assert/strict"
import { createRequire } from "node:module"
import { test } from "node:test"
import type { IdentityError } from "../../../../src/core/errors.ts"
import { type HttpRoutes, listenHttp } from "../../../../src/transports/http/listen.ts"
import { makeLocalServer } from "../../../../src/transports/http/local-server.ts"
import { askRaw } from "../../../support/ask-raw.ts"
import { makeScratch } from "../../../support/scratch.ts"

/** Listens on a socket in `path`; bugs are noted. */
async function listenAt(path: string, routes: HttpRoutes) {
  const bugs: IdentityError[] = []
  const options = { newRequestId: () => "r1", onBug: (error: IdentityError) => void bugs.push(error), drain: 50 }
  const server = makeLocalServer(8)
  const listener = await listenHttp({ ...options, at: { path }, server }, routes)
  return { bugs, server, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() }
}

const { cache } = createRequire(import.meta.url)
const isLoaded = () => Object.keys(cache).some((path) => path.endsWith("/fastify/fastify.js"))
const hello: HttpRoutes = (app) => void app.get("/", async () => "{}")

test("the framework is loaded for the first request, and not for a listener that nobody asks", async () => {
  await using scratch = await makeScratch()
  {
    await using _unasked = await listenAt(scratch.path("unasked.sock"), hello)
  }
  assert.equal(isLoaded(), false)
  await using _listener = await listenAt(scratch.path("asked.sock"), hello)
  const asked = Array.from({ length: 3 }, () => askRaw(scratch.path("asked.sock"), { path: "/" }))
  assert.deepEqual(
    (await Promise.all(asked)).map(({ status }) => status),
    [200, 200, 200],
  )
  assert.equal(isLoaded(), true)
})

test("routes that cannot be added are a bug, which is told and answers nobody", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("bug.sock")
  await using listener = await listenAt(path, () => {
    throw new TypeError("no routes")
  })
  await assert.rejects(askRaw(path, { path: "/" }))
  assert.deepEqual(
    listener.bugs.map(({ code }) => code),
    ["internal"],
  )
})

test("what could not be loaded for one request is loaded for the next", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("again.sock")
  let tries = 0
  await using listener = await listenAt(path, (app) => {
    tries += 1
    if (tries < 3) throw new Error("no memory")
    hello(app)
  })
  for (let i = 0; i < 2; i++) await assert.rejects(askRaw(path, { path: "/" }))
  for (let i = 0; i < 2; i++) assert.equal((await askRaw(path, { path: "/" })).status, 200)
  assert.deepEqual([tries, listener.bugs.length, listener.server.listenerCount("clientError")], [3, 2, 1])
})

test("an address in use is named", async () => {
  await using scratch = await makeScratch()
  const path = scratch.path("twice.sock")
  await using _first = await listenAt(path, hello)
  await assert.rejects(listenAt(path, hello), {
    code: "not-ready",
    message: /cannot listen on .*twice\.sock: .*EADDRINUSE/,
  })
})
