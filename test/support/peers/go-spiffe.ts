import { type Finished, JsonPeer, type JsonPeerOptions, runToEnd } from "./json-lines.ts"
import { peerFile } from "./peer.ts"

/** The commands of test/peers/go-spiffe. */
export type GoSpiffeCommand = "x509" | "bundles" | "jwt" | "validate" | "watch" | "mtls-server" | "mtls-client" | "mesh"

/** Run a command of the go-spiffe client to its end. `socket` is a path. */
export async function runGoSpiffe(
  command: GoSpiffeCommand,
  socket: string,
  args: readonly string[] = [],
  millis = RUN_MILLIS,
): Promise<Finished> {
  return await runToEnd(await options(command, socket, args), millis)
}

/** Start a command that goes on, e.g. `watch` or `mtls-server`, and follow its events. */
export async function startGoSpiffe(
  command: GoSpiffeCommand,
  socket: string,
  args: readonly string[] = [],
): Promise<JsonPeer> {
  return new JsonPeer(await options(command, socket, args))
}

/** What Go says about one chain: `id` when go-spiffe and crypto/x509 accept it, else `problem`. */
export interface GoVerdict {
  readonly id: string | undefined
  readonly problem: string | undefined
}

export interface GoVerification {
  readonly trustDomain: string
  /** PEM of the authorities. */
  readonly bundle: string
  /** PEM of each chain, leaf first. */
  readonly chains: readonly string[]
}

/** Verify chains with go-spiffe `x509svid.Verify` and with crypto/x509, for client and for server use. */
export async function verifyWithGo(request: GoVerification): Promise<GoVerdict[]> {
  const command = await peerFile("go-spiffe", "go-spiffe")
  const peer = { name: "go-spiffe verify", command, args: ["verify"], input: JSON.stringify(request) }
  const { code, events, error } = await runToEnd(peer, RUN_MILLIS)
  if (code !== 0) throw new Error(error)
  return events.map((event) => ({ id: text(event["id"]), problem: text(event["problem"]) }))
}

async function options(command: GoSpiffeCommand, socket: string, args: readonly string[]): Promise<JsonPeerOptions> {
  return {
    name: `go-spiffe ${command}`,
    command: await peerFile("go-spiffe", "go-spiffe"),
    args: [command, ...args],
    env: { SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` },
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined
}

const RUN_MILLIS = 60_000
