import { dirname } from "node:path"
import { backupStore } from "../../adapters/sqlite/backup-store.ts"
import { openSqliteStore } from "../../adapters/sqlite/open-store.ts"
import { readAuthority } from "../../adapters/sqlite/read-authority.ts"
import { readKeptBundles } from "../../adapters/sqlite/read-kept-bundles.ts"
import { systemClock } from "../../adapters/system/clock.ts"
import { makeSystemRandom } from "../../adapters/system/random.ts"
import { planRestore, type RestorePlan, restoreTrustDomain } from "../../app/authority/restore-trust-domain.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { Secret } from "../../core/secret.ts"
import type { KeptBundle } from "../../ports/federated-bundles.ts"
import { adminSocketPath } from "../admin-socket-path.ts"
import { isListening } from "../agent-socket.ts"
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

export interface Restored extends RestorePlan {
  /** What the store knows of other trust domains: it may be older than what was taken out since, and does not count any more. @see TD-17 TD-28 */
  readonly forgotten: readonly KeptBundle[]
}

/**
 * Make a new incarnation of a trust domain over a store that came from a backup, or none. A dry run opens only what is there.
 * @throws IdentityError `conflict` when a server runs, or there is a store where there must not be; and as {@link planRestore}
 */
export async function restoreServerState(
  config: ServerConfig,
  sealingKey: Secret,
  order: RestoreOrder,
): Promise<Restored> {
  await demandStopped(config)
  const { from, withoutStore, dryRun } = order
  const path = config.storage.sqlite
  const keys = await openKeys(config, sealingKey)
  const common = { witness: openWitness(config, sealingKey), keys, clock: systemClock, random: makeSystemRandom() }
  // Only read, since opening it to write would bring it up to date: a copy stays what it was, and is put in place once it will do.
  const plan = await planRestore({ ...common, journal: withoutStore ? EMPTY : readOnly(from ?? path) })
  const forgotten = withoutStore ? [] : readKeptBundles(from ?? path)
  if (dryRun) return { ...plan, forgotten }
  if (from !== undefined) {
    await makePrivateFolder(dirname(path), "storage.sqlite")
    await backupStore(from, path)
  }
  await using store = await openSqliteStore({ path, mode: withoutStore ? "create" : "open" })
  const done = await restoreTrustDomain({
    ...common,
    journal: store.authorityJournal,
    audit: store.auditLog,
    chain: store.auditChain,
    actor: `unix:uid=${process.getuid?.()}`,
  })
  return { ...done, forgotten }
}

/** @throws IdentityError `conflict` */
async function demandStopped(config: ServerConfig): Promise<void> {
  const path = adminSocketPath(config)
  if (!(await isListening(path))) return
  throw new IdentityError("conflict", `a server runs: it listens at ${path}`, {
    reason: "server-runs",
    next: "stop it first; a store is restored under nobody's feet",
  })
}

/** @throws IdentityError `not-found` when there is no store at `path`, `not-ready` */
function readOnly(path: string) {
  return {
    read: async () => {
      try {
        return readAuthority(path)
      } catch (thrown) {
        const error = toIdentityError(thrown)
        if (error.code !== "not-found") throw thrown
        throw new IdentityError("not-found", `there is no store at "${path}"`, { cause: thrown, next: NO_STORE })
      }
    },
  }
}

const NO_STORE = "check the path; without a copy, go on from the key folder with --without-store"
const EMPTY = { read: async () => undefined }
