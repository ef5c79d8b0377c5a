import { rename, writeFile } from "node:fs/promises"
import type { Instant } from "../../../src/core/time.ts"
import { type EnvoyListener, envoyMeshConfig, listenerFile, type MtlsListener, type SdsPeer } from "../envoy-config.ts"
import { type Envoy, startEnvoy } from "../peers/envoy.ts"
import { until } from "../until.ts"

/** Whom an Envoy calls, and where. */
export interface Destination {
  readonly name: string
  readonly spiffeId: string
  readonly port: number
}

export interface EnvoyOrder {
  readonly name: string
  readonly sds: SdsPeer
  readonly api: "GRPC" | "DELTA_GRPC"
  /** That members call. */
  readonly port: number
  /** SPIFFE IDs that may call. */
  readonly callers: readonly string[]
  readonly destinations: readonly Destination[]
  /** Where more listeners are read from. */
  readonly listenerFile: string
}

/** An Envoy that serves the others by mutual TLS, and calls each of them through a plain listener. */
export class EnvoyMember implements AsyncDisposable {
  readonly name: string
  readonly port: number
  readonly envoy: Envoy
  readonly #order: EnvoyOrder
  #version = 0

  private constructor(envoy: Envoy, order: EnvoyOrder) {
    this.name = order.name
    this.port = order.port
    this.envoy = envoy
    this.#order = order
  }

  static async start(order: EnvoyOrder): Promise<EnvoyMember> {
    await writeFile(order.listenerFile, listenerFile("0", [], configOf(order)))
    const envoy = await startEnvoy({ name: order.name, bootstrapYaml: envoyMeshConfig(configOf(order)) })
    return new EnvoyMember(envoy, order)
  }

  /** Of the plain listener whose requests go to `name`. */
  portTo(name: string): Promise<number> {
    return this.envoy.listenerPort(`to-${name}`)
  }

  /** Add a listener that takes the bundle for a certificate, as somebody who mixes up two names would; Envoy refuses each bundle then. */
  async misconfigure(): Promise<void> {
    await this.#listen([
      { kind: "mtls", name: "wrong", certificate: "ROOTCA", trust: "ROOTCA", accept: this.#order.callers },
    ])
  }

  async repair(): Promise<void> {
    await this.#listen([])
  }

  /** When the last certificate that it shows expires. */
  async notAfter(): Promise<Instant> {
    const { certificates = [] } = JSON.parse(await this.envoy.admin("/certs")) as AdminCertificates // Envoy's own API
    const times = certificates.map(({ cert_chain: [leaf] = [] }) => Date.parse(leaf?.expiration_time ?? ""))
    return Math.max(0, ...times.filter((time) => !Number.isNaN(time))) / 1000
  }

  /** Wait until it has just got another certificate. */
  async renewed(): Promise<void> {
    const before = await this.notAfter()
    const isNew = async () => (await this.notAfter()) > before
    await until(`a new certificate of ${this.name}`, isNew, RENEWAL_MILLIS, LOOK_MILLIS)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.envoy[Symbol.asyncDispose]()
  }

  /** Envoy looks when another file is moved there. */
  async #listen(listeners: readonly MtlsListener[]): Promise<void> {
    const { listenerFile: path } = this.#order
    this.#version += 1
    await writeFile(`${path}.new`, listenerFile(String(this.#version), listeners, configOf(this.#order)))
    await rename(`${path}.new`, path)
  }
}

function configOf({ name, sds, api, port, callers, destinations, listenerFile: path }: EnvoyOrder) {
  const secrets = { certificate: "default", trust: "ROOTCA" }
  const inbound: EnvoyListener = { kind: "mtls", name: "in", port, ...secrets, accept: callers }
  const outbound = destinations.map((to): EnvoyListener => {
    return { kind: "client", name: `to-${to.name}`, port: to.port, ...secrets, accept: [to.spiffeId] }
  })
  return { id: name, sds, api, listeners: [inbound, ...outbound], listenerFile: path }
}

interface AdminCertificates {
  readonly certificates?: readonly { readonly cert_chain?: readonly { readonly expiration_time?: string }[] }[]
}

const RENEWAL_MILLIS = 60_000
const LOOK_MILLIS = 50
