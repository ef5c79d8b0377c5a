import { once } from "node:events"
import * as http2 from "node:http2"
import * as https from "node:https"
import type { AddressInfo } from "node:net"
import { connect, createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls"
import {
  type Authorize,
  makeTlsServer,
  peerOf,
  type TlsClientOptions,
  type X509Holder,
} from "../../src/client/client.ts"
import { toIdentityError } from "../../src/core/errors.ts"

/** A server of the client library that answers each request by the ID of who asked. */
export interface MtlsService extends AsyncDisposable {
  readonly server: Server
  readonly port: number
  /** Who it heard of: one for each request, or for each connection of `tls`. */
  readonly heard: readonly string[]
  /** Why clients were hung up on: reason, code, or message. */
  readonly refused: readonly string[]
}

export type ServiceKind = "tls" | "https" | "http2"

export async function startMtlsService(
  kind: ServiceKind,
  source: X509Holder,
  authorize: Authorize,
  extra: TlsOptions = {},
): Promise<MtlsService> {
  const heard: string[] = []
  const refused: string[] = []
  const sockets = new Set<TLSSocket>()
  const answer = (socket: object): string => {
    const id = peerOf(socket)?.spiffeId ?? "nobody"
    heard.push(id)
    return id
  }
  const create = {
    tls: (options: TlsOptions): Server =>
      createServer(options, (socket) => {
        const id = answer(socket)
        socket.on("error", () => socket.destroy()).on("data", () => socket.write(`${id}\n`))
      }),
    https: (options: TlsOptions): Server =>
      https.createServer(options, ({ socket }, response) => response.end(answer(socket))),
    http2: (options: TlsOptions): Server =>
      http2.createSecureServer(options, ({ stream }, response) => response.end(answer(stream.session?.socket ?? {}))),
  }[kind]
  const server = makeTlsServer(source, authorize, (options) => create({ ...options, ...extra }))
  server.on("tlsClientError", (error: Error & { code?: string }) => {
    refused.push(toIdentityError(error).reason ?? error.code ?? error.message)
  })
  server.on("secureConnection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    server,
    port: (server.address() as AddressInfo).port, // it listens on TCP
    heard,
    refused,
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, "close")
    },
  }
}

/** One request on a connection of its own; the answer's text. @throws Error why there is none */
export function askService(kind: ServiceKind, port: number, options: TlsClientOptions | object): Promise<string> {
  const asked = { tls: askTls, https: askHttps, http2: askHttp2 }[kind]
  return asked(port, { signal: AbortSignal.timeout(ASK), ...options })
}

async function askTls(port: number, options: object): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, ...options })
  socket.write("ping\n")
  return textOf(socket)
}

async function textOf(socket: TLSSocket): Promise<string> {
  try {
    for await (const bytes of socket) return String(bytes).trim()
    throw new Error("the connection has ended")
  } finally {
    socket.destroy()
  }
}

export function askHttps(port: number, options: object): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const request = https.get({ host: "127.0.0.1", port, path: "/", ...options }, (response) => {
    response.setEncoding("utf8")
    response.toArray().then((parts) => resolve(parts.join("")), reject)
  })
  request.on("error", reject)
  return promise
}

async function askHttp2(port: number, options: object): Promise<string> {
  const session = http2.connect(`https://127.0.0.1:${port}`, options)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  session.on("error", reject)
  const stream = session.request({ ":path": "/" })
  stream.setEncoding("utf8")
  stream
    .on("error", (error) => reject(error.cause ?? error))
    .on("response", () => {
      stream.toArray().then((parts) => resolve(parts.join("")), reject)
    })
  stream.on("close", () => reject(new Error("the connection has ended")))
  try {
    return await promise
  } finally {
    session.destroy()
  }
}

const ASK = 30_000
