import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { isJsonObject, type Json } from "../../core/json.ts"
import { DemoProcess } from "./child-process.ts"
import { type EnvoyDuty, envoyBootstrap } from "./envoy-bootstrap.ts"

/** A real Envoy in a process of its own. */
export interface EnvoyProcess extends AsyncDisposable {
  readonly pid: number
  /** Of its listener `main`, on loopback. */
  readonly port: number
  /** `http://127.0.0.1:<port>` */
  readonly admin: string
  /** A counter or gauge; 0 when there is none of that name yet. */
  stat(name: string, signal: AbortSignal): Promise<number>
}

export interface EnvoyOrder {
  readonly binary: string
  /** Where the folder of this Envoy is made. */
  readonly folder: string
  readonly name: string
  /** The agent's. */
  readonly socket: string
  readonly duty: EnvoyDuty
}

/** Start one and wait until its listener has its secrets. */
export async function startEnvoy(order: EnvoyOrder, signal: AbortSignal): Promise<EnvoyProcess> {
  const folder = join(order.folder, order.name)
  await mkdir(folder)
  const [bootstrap, addressFile] = [join(folder, "envoy.json"), join(folder, "admin.address")]
  await writeFile(bootstrap, envoyBootstrap(order.name, order.socket, order.duty))
  await using stack = new AsyncDisposableStack()
  const args = ["--config-path", bootstrap, "--admin-address-path", addressFile, "--concurrency", "1"]
  const child = stack.use(
    new DemoProcess({
      name: `Envoy ${order.name}`,
      command: order.binary,
      args: [...args, "--disable-hot-restart", "--drain-time-s", "1"],
      log: join(folder, "envoy.log"),
    }),
  )
  const address = await child.until("up", async () => (await readFile(addressFile, "utf8")) || undefined, signal)
  const admin = `http://${address}`
  const ask = async (path: string, until: AbortSignal): Promise<string> => {
    const reply = await fetch(`${admin}${path}`, { signal: until })
    if (reply.status !== 200) throw new Error(`${child.name} answers ${path} with ${reply.status}`)
    return reply.text()
  }
  await child.until("ready", async () => (await ask("/ready", signal)) || undefined, signal)
  const port = portOf(JSON.parse(await ask("/listeners?format=json", signal)))
  const started = stack.move()
  return {
    pid: child.pid,
    port,
    admin,
    stat: async (name, until) => {
      const lines = (await ask(`/stats?filter=^${name.replaceAll(".", "\\.")}$`, until)).split("\n")
      return Number(lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? 0)
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

/** The port of the only listener. */
function portOf(listeners: Json): number {
  const port = ["listener_statuses", 0, "local_address", "socket_address", "port_value"].reduce<Json | undefined>(
    (value, key) => {
      if (typeof key === "number") return Array.isArray(value) ? value[key] : undefined
      return value !== undefined && isJsonObject(value) ? value[key] : undefined
    },
    listeners,
  )
  if (typeof port !== "number") throw new TypeError("Envoy names no port of its listener")
  return port
}
