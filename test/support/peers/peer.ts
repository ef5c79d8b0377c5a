import { join } from "node:path"
import type { PeerName } from "./catalog.ts"
import { preparePeer } from "./prepare.ts"
import { missingToolchain } from "./toolchain.ts"

/**
 * For the `skip` of a suite: false when all of these can be had here (they are prepared if need be), otherwise why not.
 * With CI=true nothing may be skipped, so what is missing throws instead.
 *
 *     describe("…", { skip: await skipWithout("envoy", "openssl") }, () => { … })
 */
export async function skipWithout(...needed: readonly (PeerName | "openssl")[]): Promise<false | string> {
  const lacking: string[] = []
  for (const need of needed) {
    const missing = need === "openssl" ? await missingToolchain(need) : await missingFor(need)
    if (missing !== undefined && !lacking.includes(missing)) lacking.push(missing)
  }
  if (lacking.length === 0) return false
  const reason = `needs ${lacking.join(" and ")}`
  if (isContinuousIntegration()) throw new Error(`${reason}; with CI=true nothing is skipped`)
  return reason
}

/** The path of a file of a prepared peer. @throws Error when its toolchain is missing or its build failed */
export async function peerFile(name: PeerName, ...path: readonly string[]): Promise<string> {
  const preparation = await preparePeer(name, NEVER)
  if (preparation.outcome === "missing") throw new Error(`${name} needs ${preparation.toolchain}`)
  return join(preparation.folder, ...path)
}

export function isContinuousIntegration(): boolean {
  return process.env["CI"] === "true"
}

async function missingFor(name: PeerName): Promise<string | undefined> {
  const preparation = await preparePeer(name, NEVER)
  return preparation.outcome === "missing" ? preparation.toolchain : undefined
}

const NEVER = new AbortController().signal
