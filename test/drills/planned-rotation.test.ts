import assert from "node:assert/strict"
import { join } from "node:path"
import { watchPeerTrust } from "../support/rotation/peer-trust.ts"
import { runAssay } from "../support/run-assay.ts"
import { until } from "../support/until.ts"
import { drill } from "./drill.ts"

drill(
  "planned-rotation",
  "given up once, rolled back once, then through to the end, and all trust all",
  { x509: { ttl: "10s" }, rotation: { skew: "1s", wave_share: "100%", wave_interval: "1s" } },
  async ({ book, folder, addAgent }) => {
    const web = await addAgent("web")
    const cart = await addAgent("cart")
    const workloads = new Map(Object.entries({ web: web.workload, cart: cart.workload }))
    const [old] = web.workload.seen.at(-1)?.bundle ?? []
    await using peers = watchPeerTrust(workloads)
    const reach = (...phases: readonly string[]) =>
      until(phases.join(" or "), async () => phases.includes(await phaseOf(folder)), PHASE)

    assert.match(await book.run("What to do", 0), /shop/)
    assert.equal((await runAssay(["rotation", "start", "-c", join(folder, "assay.yaml")])).code, 0)
    await reach("keyed")
    await book.run("How to undo", 0)
    await reach("stable")

    await book.run("What to do", 1)
    await reach("draining")
    await book.run("How to undo", 1)
    await reach("published")
    await book.run("How to undo", 2)
    assert.match(await book.run("What to do", 2), /no rotation [\w ]*is under way/)
    assert.match(await book.run("What to do", 3), /rotation\.changed/)

    const alone = () => [...workloads.values()].every(({ seen }) => isAlone(seen.at(-1)?.bundle, old))
    await until("the new root alone, everywhere", alone, PHASE)
    assert.deepEqual(peers.failures, [])
    assert.deepEqual([web.workload.failures, cart.workload.failures], [[], []])
  },
)

function isAlone(bundle: readonly string[] | undefined, old: string | undefined): boolean {
  return bundle?.length === 1 && bundle[0] !== old
}

async function phaseOf(folder: string): Promise<string> {
  const { out, err } = await runAssay(["rotation", "status", "-o", "json", "-c", join(folder, "assay.yaml")])
  return JSON.parse(out || err).phase
}

/** Milliseconds: the life of an SVID, several times. */
const PHASE = 60_000
