import { type PeerName, peerNames, recipeOf } from "../peers/catalog.ts"
import { type Preparation, preparePeer } from "../peers/prepare.ts"
import { missingToolchain } from "../peers/toolchain.ts"
import type { Tally } from "./tally.ts"

/**
 * Prepare every peer, one after the other, and say what became of each. A peer that fails to build is a failure; a
 * missing toolchain is one only when nothing may be skipped.
 */
export async function preparePeers(tally: Tally, strict: boolean, signal: AbortSignal): Promise<void> {
  const openssl = await missingToolchain("openssl")
  if (openssl !== undefined) reportMissing(openssl, ["openssl"], tally, strict)
  const lacking = new Map<string, PeerName[]>()
  for (const name of peerNames()) {
    const preparation = await prepareOne(name, tally, signal)
    if (preparation?.outcome !== "missing") continue
    lacking.set(preparation.toolchain, [...(lacking.get(preparation.toolchain) ?? []), name])
  }
  for (const [toolchain, names] of lacking) reportMissing(toolchain, names, tally, strict)
}

async function prepareOne(name: PeerName, tally: Tally, signal: AbortSignal): Promise<Preparation | undefined> {
  const notice = setTimeout(() => {
    console.log(`… peer ${name}: building, about ${recipeOf(name).cold} the first time`)
  }, NOTICE_MILLIS)
  try {
    const preparation = await preparePeer(name, signal)
    if (preparation.outcome !== "missing") tally.pass()
    if (preparation.outcome === "cached") console.log(`✔ peer ${name}: cached`)
    if (preparation.outcome === "built") {
      console.log(`✔ peer ${name}: built in ${(preparation.millis / 1000).toFixed(1)} s`)
    }
    return preparation
  } catch (failure) {
    tally.fail(`peer ${name}`)
    console.log(`✖ peer ${name}: ${failure instanceof Error ? failure.message : String(failure)}`)
    return undefined
  } finally {
    clearTimeout(notice)
  }
}

function reportMissing(toolchain: string, names: readonly string[], tally: Tally, strict: boolean): void {
  console.log(
    `!!! MISSING ${toolchain}: every suite that needs ${names.join(", ")} ${strict ? "FAILS" : "IS SKIPPED"} !!!`,
  )
  if (strict) tally.fail(`missing ${toolchain}`)
}

const NOTICE_MILLIS = 3_000
