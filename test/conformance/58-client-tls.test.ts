import assert from "node:assert/strict"
import { once } from "node:events"
import { Agent, createServer } from "node:https"
import type { AddressInfo, Server } from "node:net"
import { describe, test } from "node:test"
import { connect, createServer as createTlsServer, type TLSSocket } from "node:tls"
import {
  authorizeAny,
  authorizeId,
  authorizeMemberOf,
  authorizeOneOf,
  makeConnector,
  makeHttpsAgent,
  tlsClientOptions,
} from "../../src/client/client.ts"
import { secureContextOptions } from "../../src/client/tls-material.ts"
import { IdentityError } from "../../src/core/errors.ts"
import { type FakeHolder, makeFakeHolder } from "../support/fake-holder.ts"
import { askHttps, askService, type ServiceKind, startMtlsService } from "../support/mtls-service.ts"
import { refusal } from "../support/refusal.ts"
import { makeBundle, makeTestCa } from "../support/test-ca.ts"
import { until } from "../support/until.ts"

const WEB = "spiffe://example.org/ns/demo/sa/web"
const DB = "spiffe://example.org/ns/demo/sa/db"
const KINDS: readonly ServiceKind[] = ["tls", "https", "http2"]
const DEADLINE = { timeout: 20_000 }
const ca = makeTestCa()

for (const kind of KINDS) {
  describe(`a service over ${kind}`, DEADLINE, () => {
    test("[CLT-05] [CLT-06] knows its clients by their SPIFFE IDs, and they know it", async () => {
      const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
      await using service = await startMtlsService(kind, db, authorizeId(WEB))
      assert.equal(await askService(kind, service.port, tlsClientOptions(web, authorizeId(DB))), WEB)
      assert.deepEqual(service.heard, [WEB])
    })

    test("[CLT-06] does not hear of a client that is not let in", async () => {
      const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
      await using service = await startMtlsService(kind, db, authorizeId(WEB))
      await assert.rejects(askService(kind, service.port, tlsClientOptions(db, authorizeId(DB))))
      await until("the refusal", () => service.refused.includes("peer-identity"))
      assert.deepEqual(service.heard, [])
      assert.equal(await askService(kind, service.port, tlsClientOptions(web, authorizeId(DB))), WEB)
    })

    test("[CLT-06] does not hear of a client without a certificate", async () => {
      const db = makeFakeHolder(ca, DB)
      await using service = await startMtlsService(kind, db, authorizeAny())
      await assert.rejects(askService(kind, service.port, { rejectUnauthorized: false, agent: false }))
      // Even where whoever made the server takes the demand for one back.
      await using lax = await startMtlsService(kind, db, authorizeAny(), { rejectUnauthorized: false })
      await assert.rejects(askService(kind, lax.port, { rejectUnauthorized: false, agent: false }))
      await until("the refusal", () => lax.refused.includes("peer-certificate-missing"))
      assert.deepEqual([...service.heard, ...lax.heard], [])
    })

    test("[CLT-06] does not hear of a client of another root", async () => {
      const stranger = makeFakeHolder(makeTestCa(), WEB, [ca])
      for (const rejectUnauthorized of [true, false]) {
        const db = makeFakeHolder(ca, DB)
        await using service = await startMtlsService(kind, db, authorizeAny(), { rejectUnauthorized })
        await assert.rejects(askService(kind, service.port, tlsClientOptions(stranger, authorizeAny())))
        await until("the refusal", () => service.refused.length > 0)
        assert.deepEqual(service.heard, [])
      }
    })

    test("[CLT-05] a client refuses a server with another identity, or of another root", async () => {
      const web = makeFakeHolder(ca, WEB)
      await using service = await startMtlsService(kind, makeFakeHolder(ca, DB), authorizeAny())
      const asWrong = askService(kind, service.port, tlsClientOptions(web, authorizeId(WEB)))
      await assert.rejects(asWrong, refusal("policy-denied", "peer-identity"))
      await using strange = await startMtlsService(kind, makeFakeHolder(makeTestCa(), DB, [ca]), authorizeAny())
      await assert.rejects(askService(kind, strange.port, tlsClientOptions(web, authorizeId(DB))))
      assert.deepEqual([...service.heard, ...strange.heard], [])
    })

    test("[CLT-05] a chain may end in an authority of the bundle that is no root", async () => {
      const below = { ...ca, bundle: makeBundle(ca.trustDomain, [ca.issuing.certificate.der]) }
      const [db, web] = [makeFakeHolder(ca, DB, [below]), makeFakeHolder(ca, WEB, [below])]
      await using service = await startMtlsService(kind, db, authorizeId(WEB))
      assert.equal(await askService(kind, service.port, tlsClientOptions(web, authorizeId(DB))), WEB)
      db.rotate()
      assert.equal(await askService(kind, service.port, tlsClientOptions(web, authorizeId(DB))), WEB)
    })

    test("[CLT-08] a new SVID and a new root serve the handshakes after them", async () => {
      const next = makeTestCa()
      const [db, web] = [makeFakeHolder(ca, DB, [ca, next]), makeFakeHolder(ca, WEB, [ca, next])]
      await using service = await startMtlsService(kind, db, authorizeId(WEB))
      const ask = () => askService(kind, service.port, tlsClientOptions(web, authorizeId(DB)))
      assert.equal(await ask(), WEB)
      for (const rotate of [() => db.rotate(), () => web.rotate(), () => db.rotate(next), () => web.rotate(next)]) {
        rotate()
        assert.equal(await ask(), WEB)
      }
      for (const holder of [db, web]) holder.rotate(next, [next])
      assert.equal(await ask(), WEB)
      web.rotate(ca, [ca, next])
      await assert.rejects(ask(), "a leaf of a root that was taken away")
    })
  })
}

test(
  "[CLT-05] an ID of a federated trust domain is verified by its own bundle, and never by another's",
  DEADLINE,
  async () => {
    const away = makeTestCa({ trustDomain: "away.example" })
    const guest = "spiffe://away.example/ns/demo/sa/guest"
    const db = makeFakeHolder(ca, DB, [ca, away])
    await using service = await startMtlsService("tls", db, authorizeAny())
    const held = makeFakeHolder(away, guest, [ca, away])
    assert.equal(await askService("tls", service.port, tlsClientOptions(held, authorizeId(DB))), guest)
    // A root of example.org under the name of away.example: OpenSSL sees a chain to a root that it trusts.
    const forger = makeTestCa({ trustDomain: "away.example" })
    const fooled = makeFakeHolder(ca, DB, [ca, away])
    const { bundles } = fooled.current()
    const own = bundles.get(ca.trustDomain)
    assert.ok(own !== undefined)
    const forged = new Map(bundles).set(ca.trustDomain, {
      ...own,
      x509Authorities: [...own.x509Authorities, ...forger.bundle.x509Authorities],
    })
    const lured = { ...fooled, current: () => ({ ...fooled.current(), bundles: forged }) }
    await using trap = await startMtlsService("tls", lured, authorizeAny())
    const liar = makeFakeHolder(forger, guest, [ca])
    await assert.rejects(askService("tls", trap.port, tlsClientOptions(liar, authorizeAny())))
    await until("the refusal", () => trap.refused.length > 0)
    assert.deepEqual(trap.heard, [])
  },
)

test("[CLT-05] authorizers: one ID, several, a trust domain, any, a function of one's own", () => {
  const peer = (text: string) => text as Parameters<ReturnType<typeof authorizeAny>>[0] // canonical as written
  const [web, db, guest] = [peer(WEB), peer(DB), peer("spiffe://away.example/guest")]
  const seen = (authorize: ReturnType<typeof authorizeAny>) => [web, db, guest].map(authorize)
  assert.deepEqual(seen(authorizeId(WEB)), [true, false, false])
  assert.deepEqual(seen(authorizeOneOf([WEB, guest])), [true, false, true])
  assert.deepEqual(seen(authorizeMemberOf("example.org")), [true, true, false])
  assert.deepEqual(seen(authorizeAny()), [true, true, true])
  assert.throws(() => authorizeId("spiffe://example.org"), refusal("malformed"))
  assert.throws(() => authorizeId("https://example.org/web"), refusal("malformed"))
  assert.throws(() => authorizeOneOf([]), refusal("malformed"))
  assert.throws(() => authorizeMemberOf("spiffe://example.org"), refusal("malformed"))
})

test("[CLT-05] an authorizer that throws, or answers anything but true, lets nobody in", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  const thrower = (): boolean => {
    throw new Error("no answer")
  }
  const promise = (async () => true) as unknown as () => boolean // what JavaScript lets through
  for (const authorize of [thrower, promise, () => 1 as unknown as boolean]) {
    await using service = await startMtlsService("https", db, authorize)
    await assert.rejects(askService("https", service.port, tlsClientOptions(web, authorizeId(DB))))
    assert.deepEqual(service.heard, [])
    await using open = await startMtlsService("https", db, authorizeAny())
    await assert.rejects(askService("https", open.port, tlsClientOptions(web, authorize)))
    assert.deepEqual(open.heard, [])
  }
})

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`[CLT-07] a server resumes no session over ${version}`, DEADLINE, async () => {
    const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
    await using service = await startMtlsService("tls", db, authorizeId(WEB), { maxVersion: version })
    assert.equal(await isResumed(service.port, web), false)
    // The same client does resume where that is possible.
    const terms = { ...secureContextOptions(db.current()), secureOptions: 0, maxVersion: version }
    const lax = createTlsServer({ ...terms, requestCert: true }, (socket) =>
      socket.on("data", () => socket.write("pong")),
    )
    lax.listen(0, "127.0.0.1")
    await once(lax, "listening")
    assert.equal(await isResumed(portOf(lax), web), true)
    lax.close()
  })
}

test("[CLT-07] a client offers no session, not even when its agent keeps one", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  const server = createServer(
    { ...secureContextOptions(db.current()), secureOptions: 0, requestCert: true, maxVersion: "TLSv1.2" },
    ({ socket }, response) => response.end(String((socket as TLSSocket).isSessionReused())), // an https server's socket
  )
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 10 })
  for (let i = 0; i < 3; i++) {
    assert.equal(await askHttps(portOf(server), { ...tlsClientOptions(web, authorizeId(DB)), agent }), "false")
  }
  const own = makeHttpsAgent(web, authorizeId(DB))
  for (let i = 0; i < 3; i++) {
    assert.equal(await askHttps(portOf(server), { agent: own, headers: { connection: "close" } }), "false")
  }
  own.destroy()
  agent.destroy()
  server.close()
})

test("[CLT-07] no connection that one authorizer let in serves another", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("https", db, authorizeId(WEB))
  assert.equal(await askHttps(service.port, tlsClientOptions(web, authorizeAny())), WEB)
  const strict = askHttps(service.port, tlsClientOptions(web, authorizeId(WEB)))
  await assert.rejects(strict, refusal("policy-denied", "peer-identity"))
})

test("[CLT-08] connections that are open go on across rotations of both sides", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("tls", db, authorizeId(WEB))
  const socket = connect({ host: "127.0.0.1", port: service.port, ...tlsClientOptions(web, authorizeId(DB)) })
  await once(socket, "secureConnect")
  for (let i = 0; i < 5; i++) {
    const answered = once(socket, "data")
    socket.write("ping\n")
    assert.equal(String((await answered)[0]).trim(), WEB)
    db.rotate()
    web.rotate()
  }
  socket.destroy()
})

test("[CLT-08] an https agent keeps a connection, and dials anew after a rotation", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("https", db, authorizeId(WEB))
  let connections = 0
  const serials = new Set<string>()
  service.server.on("secureConnection", (socket) => {
    connections++
    serials.add(socket.getPeerCertificate().serialNumber.toLowerCase())
  })
  const agent = makeHttpsAgent(web, authorizeId(DB))
  for (let i = 0; i < 3; i++) assert.equal(await askHttps(service.port, { agent }), WEB)
  assert.equal(connections, 1)
  web.rotate()
  for (let i = 0; i < 3; i++) assert.equal(await askHttps(service.port, { agent }), WEB)
  assert.equal(connections, 2)
  assert.ok(serials.has(web.serial))
  agent.destroy()
})

test("[CLT-08] an https agent hangs up connections that are idle when the SVID is replaced", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("https", db, authorizeId(WEB))
  const serials: string[] = []
  service.server.on("secureConnection", (socket) =>
    serials.push(socket.getPeerCertificate().serialNumber.toLowerCase()),
  )
  const agent = makeHttpsAgent(web, authorizeId(DB))
  for (let i = 0; i < 3; i++) {
    await Promise.all(Array.from({ length: 3 }, () => askHttps(service.port, { agent })))
    assert.equal(serials.filter((serial) => serial === web.serial).length, 3)
    web.rotate()
  }
  assert.equal(new Set(serials).size, 3)
  await askHttps(service.port, { agent })
  const held = () => [agent.freeSockets, agent.sockets].flatMap((named) => Object.values(named).flat())
  await until("what is over to be forgotten", () => held().length === 1)
  agent.destroy()
})

test("[CLT-03] an https agent says that there is nothing to show, and goes on when there is", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("https", db, authorizeId(WEB))
  let isExpired = false
  const current = () => {
    if (isExpired) throw new IdentityError("not-ready", "the SVID has expired")
    return web.current()
  }
  const agent = makeHttpsAgent({ ...web, current }, authorizeId(DB))
  assert.equal(await askHttps(service.port, { agent }), WEB)
  isExpired = true
  await assert.rejects(askHttps(service.port, { agent }), refusal("not-ready"))
  isExpired = false
  assert.equal(await askHttps(service.port, { agent }), WEB)
  // It expires while a request is on its way.
  service.server.prependOnceListener("request", () => {
    isExpired = true
  })
  assert.equal(await askHttps(service.port, { agent }), WEB)
  agent.destroy()
})

test("[CLT-03] a server whose own SVID has expired lets nobody in", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  let isExpired = false
  const current = () => {
    if (isExpired) throw new IdentityError("not-ready", "the SVID has expired", { reason: "svid-expired" })
    return db.current()
  }
  await using service = await startMtlsService("https", { ...db, current }, authorizeId(WEB))
  isExpired = true
  await assert.rejects(askHttps(service.port, tlsClientOptions(web, authorizeId(DB))))
  await until("the refusal", () => service.refused.includes("svid-expired"))
  assert.deepEqual(service.heard, [])
})

test("[CLT-05] an https agent is not talked out of its checks by a request", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("https", db, authorizeAny())
  const agent = makeHttpsAgent(web, authorizeId(WEB))
  const asked = askHttps(service.port, { agent, rejectUnauthorized: false, checkServerIdentity: () => undefined })
  await assert.rejects(asked, refusal("policy-denied", "peer-identity"))
  agent.destroy()
})

test("[CLT-05] [CLT-08] a connector dials for undici: verified, rotated, https only", DEADLINE, async () => {
  const [db, web] = [makeFakeHolder(ca, DB), makeFakeHolder(ca, WEB)]
  await using service = await startMtlsService("https", db, authorizeId(WEB))
  const dial = (authorize: ReturnType<typeof authorizeAny>, protocol = "https:"): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const target = { hostname: "127.0.0.1", port: String(service.port), protocol }
      makeConnector(web, authorize)(target, (error, socket) => (error === null ? resolve(socket) : reject(error)))
    })
  const socket = await dial(authorizeId(DB))
  assert.equal(socket.authorized, true)
  assert.equal(socket.getPeerCertificate().serialNumber.toLowerCase(), db.serial)
  socket.destroy()
  db.rotate()
  const next = await dial(authorizeId(DB))
  assert.equal(next.getPeerCertificate().serialNumber.toLowerCase(), db.serial)
  next.destroy()
  await assert.rejects(dial(authorizeId(WEB)), refusal("policy-denied", "peer-identity"))
  await assert.rejects(dial(authorizeAny(), "http:"), refusal("malformed"))
})

test("[CLT-08] a server that is closed follows its source no longer", DEADLINE, async () => {
  const db = makeFakeHolder(ca, DB)
  {
    await using _service = await startMtlsService("https", db, authorizeAny())
    assert.equal(db.listeners, 1)
  }
  assert.equal(db.listeners, 0)
})

/** Whether a client that would like to resume gets to, at its second connection. */
async function isResumed(port: number, holder: FakeHolder): Promise<boolean> {
  const eager = { ...secureContextOptions(holder.current()), secureOptions: 0, checkServerIdentity: () => undefined }
  let session: Buffer | undefined
  const dial = async (): Promise<boolean> => {
    const socket = connect({ host: "127.0.0.1", port, ...eager, session })
    socket.on("session", (fresh) => {
      session = fresh
    })
    await once(socket, "secureConnect")
    socket.write("ping\n")
    await once(socket, "data")
    session ??= socket.getSession()
    const isReused = socket.isSessionReused()
    socket.destroy()
    return isReused
  }
  await dial()
  return await dial()
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port // it listens on TCP
}
