import { readFile, writeFile } from "node:fs/promises"
import { makeScratch } from "../scratch.ts"
import { Child } from "./child.ts"
import { peerFile } from "./peer.ts"

export interface EnvoyOptions {
  /** For messages and as a part of folder names, e.g. "client". */
  readonly name: string
  /**
   * A bootstrap in YAML or JSON, without `admin`. Listeners should use `port_value: 0` on 127.0.0.1; the port is then
   * found with {@link Envoy.listenerPort}.
   */
  readonly bootstrapYaml: string
  /**
   * What to wait for. "live": every listener has its secrets. "admin": only the admin port answers, for tests in which
   * a secret is to come later or never. Default "live".
   */
  readonly until?: "live" | "admin"
  /** Milliseconds to wait for that. Default 20,000. */
  readonly readyMillis?: number
}

/** A real Envoy: one worker, no hot restart, admin on loopback at a port of its own choice. */
export async function startEnvoy(options: EnvoyOptions): Promise<Envoy> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch(`envoy-${options.name}`))
  const bootstrap = folder.path("bootstrap.yaml")
  const addressFile = folder.path("admin.address")
  await writeFile(bootstrap, options.bootstrapYaml)
  const admin = { admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } } }
  const child = stack.use(
    new Child({
      name: `envoy ${options.name}`,
      command: await peerFile("envoy", "envoy/_bin/envoy"),
      args: [
        ...["--config-path", bootstrap, "--config-yaml", JSON.stringify(admin), "--admin-address-path", addressFile],
        ...["--concurrency", "1", "--disable-hot-restart", "--log-level", "info", "--drain-time-s", "1"],
      ],
      log: folder.path("envoy.log"),
    }),
  )
  const millis = options.readyMillis ?? READY_MILLIS
  const address = await child.until("answering", async () => (await readFile(addressFile, "utf8")) || undefined, millis)
  const envoy = new Envoy(child, `http://${address}`, stack.move())
  if ((options.until ?? "live") === "live")
    await envoy.untilLive(millis).catch((failure) => disposeAndThrow(envoy, failure))
  return envoy
}

export class Envoy implements AsyncDisposable {
  /** e.g. `http://127.0.0.1:40123` */
  readonly adminUrl: string
  readonly #child: Child
  readonly #stack: AsyncDisposableStack

  constructor(child: Child, adminUrl: string, stack: AsyncDisposableStack) {
    this.adminUrl = adminUrl
    this.#child = child
    this.#stack = stack
  }

  get name(): string {
    return this.#child.name
  }

  get pid(): number {
    return this.#child.pid
  }

  get running(): boolean {
    return this.#child.running
  }

  logTail(characters?: number): string {
    return this.#child.logTail(characters)
  }

  /** All static listeners have what they need and accept connections. */
  async untilLive(millis = READY_MILLIS): Promise<void> {
    const ready = async () => ((await fetch(`${this.adminUrl}/ready`)).status === 200 ? true : undefined)
    await this.#child.until("live", ready, millis)
  }

  /** The body of an admin page. @throws Error when it does not answer 200 */
  async admin(path: string): Promise<string> {
    const reply = await fetch(`${this.adminUrl}${path}`, { signal: AbortSignal.timeout(ADMIN_MILLIS) })
    const body = await reply.text()
    if (reply.status !== 200) throw new Error(`${this.name} ${path}: ${reply.status} ${body}`)
    return body
  }

  /** The port that a listener got. */
  async listenerPort(name: string): Promise<number> {
    const listeners: unknown = JSON.parse(await this.admin("/listeners?format=json"))
    const port = findPort(listeners, name)
    if (port === undefined) throw new Error(`${this.name} has no listener ${name}: ${JSON.stringify(listeners)}`)
    return port
  }

  /** One counter or gauge; 0 when Envoy does not have it (yet). */
  async stat(name: string): Promise<number> {
    const lines = (
      await this.admin(`/stats?filter=${encodeURIComponent(`^${name.replaceAll(/[^A-Za-z0-9_]/g, "\\$&")}$`)}`)
    ).split("\n")
    const value = lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
    return value === undefined ? 0 : Number(value)
  }

  /** Wait until `reached` accepts the value. @throws Error with the end of the log when the time is up */
  async untilStat(name: string, reached: (value: number) => boolean, millis = READY_MILLIS): Promise<number> {
    return await this.#child.until(
      `at the wanted ${name}`,
      async () => {
        const value = await this.stat(name)
        return reached(value) ? value : undefined
      },
      millis,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

async function disposeAndThrow(envoy: Envoy, failure: unknown): Promise<never> {
  await envoy[Symbol.asyncDispose]()
  throw failure
}

function findPort(listeners: unknown, name: string): number | undefined {
  const { listener_statuses: statuses = [] } = listeners as AdminListeners // Envoy's own admin API; checked by the caller
  const found = statuses.find((status) => status.name === name)
  return found?.local_address?.socket_address?.port_value
}

interface AdminListeners {
  readonly listener_statuses?: readonly {
    readonly name: string
    readonly local_address?: { readonly socket_address?: { readonly port_value?: number } }
  }[]
}

const READY_MILLIS = 60_000
const ADMIN_MILLIS = 20_000
