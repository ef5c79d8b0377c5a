import { join } from "node:path"
import { type Finished, JsonPeer, type JsonPeerOptions, runToEnd } from "./json-lines.ts"
import { peerFile } from "./peer.ts"

/** The commands of test/peers/py-spiffe/client.py. */
export type PySpiffeCommand = "x509" | "bundles" | "jwt" | "watch"

/** Run a command of the py-spiffe client to its end. `socket` is a path. */
export async function runPySpiffe(
  command: PySpiffeCommand,
  socket: string,
  args: readonly string[] = [],
  millis = RUN_MILLIS,
): Promise<Finished> {
  return await runToEnd(await options(command, socket, args), millis)
}

/** Start a command that goes on, e.g. `watch`, and follow its events. */
export async function startPySpiffe(
  command: PySpiffeCommand,
  socket: string,
  args: readonly string[] = [],
): Promise<JsonPeer> {
  return new JsonPeer(await options(command, socket, args))
}

async function options(command: PySpiffeCommand, socket: string, args: readonly string[]): Promise<JsonPeerOptions> {
  const client = join(import.meta.dirname, "../../peers/py-spiffe/client.py")
  return {
    name: `py-spiffe ${command}`,
    command: "python3",
    args: ["-B", client, command, ...args],
    env: { SPIFFE_ENDPOINT_SOCKET: `unix://${socket}`, PYTHONPATH: await peerFile("py-spiffe") },
  }
}

const RUN_MILLIS = 60_000
