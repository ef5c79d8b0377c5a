import assert from "node:assert/strict"
import { join } from "node:path"
import { readAuthority } from "../../src/adapters/sqlite/read-authority.ts"
import { watchPeerTrust } from "../support/rotation/peer-trust.ts"
import { runAssay } from "../support/run-assay.ts"
import { until } from "../support/until.ts"
import { drill } from "./drill.ts"

drill(
  "planned-rotation",
  "given up once, rolled back once, then through to the end, and all trust all",
  { x509: { ttl: "20s" }, rotation: { skew: "1s", wave_share: "100%", wave_interval: "1s" } },
  async ({ book, folder, addAgent }) => {
    const web = await addAgent("web")
    const cart = await addAgent("cart")
    const workloads = new Map(Object.entries({ web: web.workload, cart: cart.workload }))
    const [old] = web.workload.seen.at(-1)?.bundle ?? []
    await using peers = watchPeerTrust(workloads)
    const reach = (...phases: readonly string[]) =>
      until(phases.join(" or "), () => phases.includes(phaseOf(folder)), PHASE)

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

/** As it is written down: a command would take long enough to miss one. */
function phaseOf(folder: string): string {
  return readAuthority(join(folder, "assay.db"))?.rotations.x509.phase ?? assert.fail("the trust domain is gone")
}

/** Milliseconds: the life of an SVID, several times. */
const PHASE = 120_000
