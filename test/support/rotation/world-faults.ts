import { name } from "./happenings.ts"
import { bundleOf, signersOf, type Workload, type World } from "./world.ts"

/** What is wrong with a world: the first of the invariants that does not hold, with its id; `undefined` for nothing. */
export function faultOf(world: World): string | undefined {
  return (
    world.fault ??
    strangers(world) ??
    untrustedSigners(world) ??
    falseEvidence(world) ??
    orphans(world) ??
    early(world) ??
    revived(world)
  )
}

/** @see RINV-01 */
function strangers({ workloads }: World): string | undefined {
  for (const [a, shows] of workloads.entries()) {
    for (const [b, trusts] of workloads.entries()) {
      if (shows.holds === 0 || trusts.holds === 0 || shows.waived || trusts.waived) continue
      if ((trusts.bundle & shows.holds) !== 0) continue
      return `RINV-01: w${a} shows an SVID of ${name(shows.holds)}, w${b} trusts ${name(trusts.bundle)}`
    }
  }
  return undefined
}

/** @see RINV-02 */
function untrustedSigners({ db, replicas }: World): string | undefined {
  if (db.state.phase !== "stable" && db.state.emergency) return undefined
  for (const { view: signs } of replicas) {
    if (signs === undefined) continue
    const needed = signersOf(signs).reduce((sum, signer) => sum | signer, 0)
    for (const { view: publishes } of replicas) {
      if (publishes === undefined || (bundleOf(publishes) & needed) === needed) continue
      return `RINV-02: one replica signs with ${name(needed)}, another publishes ${name(bundleOf(publishes))}`
    }
  }
  return undefined
}

/** What a stream acknowledged is what its consumer trusts, and nobody trusts what was never published. @see RINV-03 RINV-05 */
function falseEvidence({ db, workloads }: World): string | undefined {
  if (workloads.some(({ acked, epoch }) => acked > epoch)) return "RINV-05: an acknowledgement is newer than the bundle"
  return workloads.some(({ epoch }) => epoch > db.epoch) ? "RINV-03: an epoch went backwards" : undefined
}

/** @see RINV-07 */
function orphans({ db, workloads }: World): string | undefined {
  const orphan = workloads.find(({ unexpired, waived }) => !waived && (unexpired & ~bundleOf(db)) !== 0)
  return orphan && `RINV-07: ${name(orphan.unexpired)} is alive, the bundle is ${name(bundleOf(db))}`
}

/** An SVID came before the bundle that its own holder needs to know its peers. @see RINV-04 */
function early({ workloads }: World): string | undefined {
  const blind = workloads.find(
    ({ holds, bundle, waived }: Workload) => !waived && holds !== 0 && (bundle & holds) === 0,
  )
  return blind && `RINV-04: an SVID of ${name(blind.holds)} came before its bundle`
}

/** Something that was there when an emergency was declared is trusted, or signs. @see RINV-13 */
function revived({ db, stolen }: World): string | undefined {
  const trusted = [...signersOf(db), bundleOf(db)].reduce((sum, signer) => sum | signer, 0) & stolen
  return trusted === 0 ? undefined : `RINV-13: ${name(trusted)} is stolen, and trusted`
}
