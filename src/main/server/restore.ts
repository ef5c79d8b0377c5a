import { connect } from "node:net"
import { dirname } from "node:path"
import { backupStore } from "../../adapters/sqlite/backup-store.ts"
import { openSqliteStore } from "../../adapters/sqlite/open-store.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { makeSystemRandom } from "../../adapters/system/random.ts"
import { planRestore, type RestorePlan, restoreTrustDomain } from "../../app/authority/restore-trust-domain.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import { adminSocketPath } from "../admin-socket-path.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { makePrivateFolder } from "./private-folder.ts"
import { openKeys, openWitness } from "./state.ts"

export interface RestoreOrder {
  /** A copy to put in the place of the store, which must not be there. */
  readonly from: string | undefined
  /** The store is lost, and there is no copy: begin with an empty one. */
  readonly withoutStore: boolean
  readonly dryRun: boolean
}

/**
 * Make a new incarnation of a trust domain over a store that came from a backup, or none. A dry run opens only what is there.
 * @throws IdentityError `conflict` when a server runs, or there is a store where there must not be; and as {@link planRestore}
 */
export async function restoreServerState(
  config: ServerConfig,
  sealingKey: Secret,
  order: RestoreOrder,
): Promise<RestorePlan> {
  await demandStopped(config)
  const { from, withoutStore, dryRun } = order
  const path = config.storage.sqlite
  const place = dryRun && from !== undefined ? from : path
  if (!dryRun && from !== undefined) {
    await makePrivateFolder(dirname(path), "storage.sqlite")
    await backupStore(from, path)
  }
  const keys = await openKeys(config, sealingKey)
  const common = { witness: openWitness(config, sealingKey), keys, clock: systemClock, random: makeSystemRandom() }
  if (dryRun && withoutStore) return planRestore({ ...common, journal: EMPTY })
  await using store = await openSqliteStore({ path: place, mode: withoutStore ? "create" : "open" })
  const deps = { ...common, journal: store.authorityJournal }
  if (dryRun) return await planRestore(deps)
  return await restoreTrustDomain({
    ...deps,
    audit: store.auditLog,
    chain: store.auditChain,
    actor: `unix:uid=${process.getuid?.()}`,
  })
}

/** @throws IdentityError `conflict` */
async function demandStopped(config: ServerConfig): Promise<void> {
  const path = adminSocketPath(config)
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })
  if (!answers) return
  throw new IdentityError("conflict", `a server runs: it answers at ${path}`, {
    reason: "server-runs",
    next: "stop it first; a store is restored under nobody's feet",
  })
}

const EMPTY = { read: async () => undefined }
