import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { workloadFailure } from "../../src/adapters/workload-client/failure.ts"
import { type IdentityError, openX509Source } from "../../src/client/client.ts"
import { makeX509Source } from "../../src/client/x509-source.ts"
import { Secret } from "../../src/core/secret.ts"
import { parseSpiffeId } from "../../src/core/spiffe/id.ts"
import type { X509Material } from "../../src/ports/workload-api.ts"
import { FakeClock } from "../support/fake-clock.ts"
import { makeJwtKey } from "../support/jwt-key.ts"
import { openLiveWorkload } from "../support/live-workload.ts"
import { refusal } from "../support/refusal.ts"
import { makeKeyPair, makeTestCa, type TestLeaf } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const NOW = 1_800_000_000
const ca = makeTestCa()
const old = makeTestCa({ now: NOW })
const jwtKey = makeJwtKey()

describe("a source at a Workload API", { timeout: 30_000 }, () => {
  test("[CLT-01] waits for the first SVID, and follows each change", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    await using source = await openX509Source({ socket: web.socket })
    assert.equal(source.svid().spiffeId, WEB)
    assert.deepEqual([...source.bundles().keys()], ["example.org"])
    const before = source.current()
    const seen: string[] = []
    using _listening = source.onChange(({ svid }) => seen.push(svid.spiffeId))
    web.rotate()
    await until("the new SVID", () => source.current() !== before)
    assert.deepEqual(seen, [WEB])
  })

  test("[CLT-01] is given the socket by the environment, and refuses what is no address", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const before = process.env["SPIFFE_ENDPOINT_SOCKET"]
    process.env["SPIFFE_ENDPOINT_SOCKET"] = `unix://${web.socket}`
    try {
      await using source = await openX509Source()
      assert.equal(source.svid().spiffeId, WEB)
    } finally {
      if (before === undefined) delete process.env["SPIFFE_ENDPOINT_SOCKET"]
      else process.env["SPIFFE_ENDPOINT_SOCKET"] = before
    }
    await assert.rejects(openX509Source({ socket: "" }), refusal("malformed"))
    await assert.rejects(openX509Source({ socket: "http://localhost" }), refusal("malformed"))
  })

  test("[CLT-01] says why there is no SVID within the deadline: denied, or nobody there", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    web.source.deny()
    await assert.rejects(openX509Source({ socket: web.socket, deadline: 3000 }), refusal("no-identity"))
    const nobody = openX509Source({ socket: `${web.socket}.none`, deadline: 3000 })
    await assert.rejects(nobody, refusal("not-ready", "socket-unreachable"))
  })

  test("[CLT-01] an agent that answers what it waits for is not taken for one that is not there", () => {
    const failed = (details: string) =>
      workloadFailure(Object.assign(new Error(`14 UNAVAILABLE: ${details}`), { code: 14, details }), "unix:///a.sock")
    const waiting = "token file /var/run/secrets/tokens/assay cannot be read (ENOENT)"
    assert.deepEqual([failed(waiting).reason, failed(waiting).message], [undefined, waiting])
    const away = (why: string) => failed(`No connection established. Last error: Error: connect ${why} /a.sock.`)
    assert.equal(away("ENOENT").reason, "socket-unreachable")
    assert.equal(away("ECONNREFUSED").reason, "socket-unreachable")
    assert.deepEqual([away("EACCES").code, away("EACCES").reason], ["not-ready", "socket-forbidden"])
  })

  test("[CLT-01] gives up when its signal aborts, and closes with it", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    web.source.deny()
    const stop = new AbortController()
    const opening = openX509Source({ socket: web.socket, signal: stop.signal, onProblem: () => stop.abort() })
    await assert.rejects(opening, refusal("cancelled"))
    web.rotate()
    const later = new AbortController()
    const source = await openX509Source({ socket: web.socket, signal: later.signal })
    later.abort()
    assert.throws(() => source.current(), refusal("cancelled"))
  })

  test("[CLT-02] watches from now on, the newest only, until it is closed", async () => {
    await using web = await openLiveWorkload(WEB, ca, jwtKey)
    const source = await openX509Source({ socket: web.socket })
    const seen: unknown[] = []
    const watching = (async () => {
      for await (const context of source.watch()) {
        seen.push(context)
        if (seen.length === 1) web.rotate()
        if (seen.length === 2) await source[Symbol.asyncDispose]()
      }
    })()
    await watching
    assert.equal(new Set(seen).size, 2)
    assert.throws(() => source.current(), refusal("cancelled"))
  })

  test("[CLT-02] outlives its Workload API, and comes back by itself", async () => {
    await using first = await openLiveWorkload(WEB, ca, jwtKey)
    const problems: IdentityError[] = []
    await using source = await openX509Source({ socket: first.socket, onProblem: (error) => problems.push(error) })
    const before = source.current()
    first.source.deny()
    await until("the denial", () => problems.some(({ code }) => code === "no-identity"))
    assert.equal(source.current(), before)
    first.rotate()
    await until("the new SVID", () => source.current() !== before)
  })
})

describe("a source whose Workload API a test plays", () => {
  test("[CLT-02] comes back after 0.1 s to 5 s, longer with each failure", async () => {
    const clock = new FakeClock(NOW)
    const api = new PlayedApi()
    const opening = makeX509Source(api, terms(), { clock, random: () => Buffer.alloc(6, 0xff) })
    api.say(material(old.issueLeaf(WEB)))
    await using source = await opening
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      const opened = api.opened
      api.fail()
      await clock.untilSleeping(1)
      let waited = 0
      for (; api.opened === opened; waited += 0.1) await clock.advance(0.1)
      waits.push(Math.round(waited * 10) / 10)
    }
    assert.deepEqual(waits, [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5])
    assert.equal(source.svid().spiffeId, WEB)
  })

  test("[CLT-03] shows no SVID that has expired, and shows the next one", async () => {
    const clock = new FakeClock(NOW)
    const api = new PlayedApi()
    const opening = makeX509Source(api, terms(), { clock, random: () => Buffer.alloc(6) })
    api.say(material(old.issueLeaf(WEB, { notAfter: NOW + 60 })))
    await using source = await opening
    await clock.advance(59)
    assert.equal(source.svid().spiffeId, WEB)
    await clock.advance(1)
    for (const use of [() => source.current(), () => source.svid(), () => source.bundles()]) {
      assert.throws(use, refusal("not-ready", "svid-expired"))
    }
    const watched = source.watch().next()
    const next = old.issueLeaf(WEB, { notAfter: NOW + 3600 })
    api.say(material(next))
    await until("the next SVID", () => isThere(() => source.current()))
    assert.equal((await watched).value?.expiresAt, next.certificate.notAfter)
  })

  test("[CLT-04] leaves the SVID in force that it has when the next message is not whole", async () => {
    const clock = new FakeClock(NOW)
    const api = new PlayedApi()
    const problems: IdentityError[] = []
    const onProblem = (error: IdentityError) => void problems.push(error)
    const opening = makeX509Source(api, { ...terms(), onProblem }, { clock, random: () => Buffer.alloc(6) })
    const good = old.issueLeaf(WEB)
    api.say(material(good))
    await using source = await opening
    const before = source.current()
    const [svid] = material(good).svids
    assert.ok(svid !== undefined)
    const broken: readonly X509Material[] = [
      { svids: [{ ...svid, key: new Secret(pkcs8()) }], federated: new Map() },
      { svids: [{ ...svid, key: new Secret(Buffer.from("no key")) }], federated: new Map() },
      { svids: [{ ...svid, chain: [] }], federated: new Map() },
      { svids: [{ ...svid, chain: [Buffer.from("no certificate")] }], federated: new Map() },
      { svids: [{ ...svid, bundle: [Buffer.from("no certificate")] }], federated: new Map() },
      { svids: [svid], federated: new Map([["spiffe://away.example", [Buffer.from("none")]]]) },
      { svids: [svid], federated: new Map([["away.example", []]]) },
    ]
    for (const [i, message] of broken.entries()) {
      api.say(message)
      await until("the problem", () => problems.length === i + 1)
      assert.equal(problems[i]?.code, "malformed")
      assert.equal(source.current(), before)
      await clock.untilSleeping(1)
      await clock.advance(5)
    }
    api.say(material(old.issueLeaf(WEB)))
    await until("the next SVID", () => source.current() !== before)
  })

  test("[CLT-02] tells all who listen of a change, also when one of them throws", async () => {
    const clock = new FakeClock(NOW)
    const api = new PlayedApi()
    const problems: IdentityError[] = []
    const onProblem = (error: IdentityError) => void problems.push(error)
    const opening = makeX509Source(api, { ...terms(), onProblem }, { clock, random: () => Buffer.alloc(6) })
    api.say(material(old.issueLeaf(WEB)))
    await using source = await opening
    using _broken = source.onChange(() => {
      throw new Error("a listener's own")
    })
    const heard: unknown[] = []
    using _listening = source.onChange((context) => void heard.push(context))
    api.say(material(old.issueLeaf(WEB)))
    await until("the change", () => heard.length === 1)
    assert.deepEqual(heard, [source.current()])
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["internal"],
    )
    assert.equal(api.opened, 1)
  })

  test("[CLT-01] takes the SVID that is picked, and says so when none is", async () => {
    const clock = new FakeClock(NOW)
    const db = "spiffe://example.org/ns/demo/sa/db"
    const both = {
      ...material(old.issueLeaf(WEB)),
      svids: [WEB, db].flatMap((id) => material(old.issueLeaf(id)).svids),
    }
    const pick = (id: string) => (svids: X509Material["svids"]) => svids.find(({ spiffeId }) => spiffeId === id)
    const api = new PlayedApi()
    api.say(both)
    const deps = { clock, random: () => Buffer.alloc(6) }
    await using source = await makeX509Source(api, { ...terms(), pick: pick(db) }, deps)
    assert.equal(source.svid().spiffeId, db)
    const other = new PlayedApi()
    other.say(both)
    const problems: IdentityError[] = []
    const onProblem = (error: IdentityError) => void problems.push(error)
    const opening = makeX509Source(other, { ...terms(), onProblem, pick: pick(`${db}/none`) }, deps)
    await until("the problem", () => problems.length > 0)
    await Promise.all([assert.rejects(opening, refusal("no-identity")), clock.advance(60)])
  })
})

function terms() {
  return {
    signal: undefined,
    onProblem: undefined,
    deadline: 30_000,
    pick: ([first]: X509Material["svids"]) => first,
  }
}

function material(leaf: TestLeaf): X509Material {
  const svid = {
    spiffeId: parseSpiffeId(leaf.certificate.uriNames[0] ?? ""),
    hint: "",
    chain: leaf.chain,
    key: new Secret(leaf.pkcs8),
    bundle: old.bundle.x509Authorities,
  }
  return { svids: [svid], federated: new Map() }
}

function pkcs8(): Uint8Array {
  return makeKeyPair().privateKey.export({ format: "der", type: "pkcs8" })
}

function isThere(current: () => unknown): boolean {
  try {
    return current() !== undefined
  } catch {
    return false
  }
}

/** A Workload API whose one stream says what the test says. */
class PlayedApi {
  opened = 0
  #queue: (X509Material | Error)[] = []
  #wake = Promise.withResolvers<void>()

  say(message: X509Material | Error): void {
    this.#queue.push(message)
    this.#wake.resolve()
  }

  fail(): void {
    this.say(new Error("gone"))
  }

  async *watchX509(signal: AbortSignal): AsyncGenerator<X509Material, void, void> {
    this.opened++
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))
    while (!signal.aborted) {
      const next = this.#queue.shift()
      if (next === undefined) {
        this.#wake = Promise.withResolvers()
        await Promise.race([this.#wake.promise, aborted])
      } else if (next instanceof Error) throw next
      else yield next
    }
  }
}
