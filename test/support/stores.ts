import { openMemoryStore } from "../../src/adapters/memory/memory-store.ts"
import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import type { AuditLog } from "../../src/ports/audit-log.ts"
import type { AuthorityJournal } from "../../src/ports/authority-journal.ts"
import type { BanLog } from "../../src/ports/bans.ts"
import type {
  CertificateReader,
  ConsumerLog,
  HolderCounter,
  HoldingsReader,
  KeyHolderReader,
} from "../../src/ports/consumers.ts"
import type { FederatedBundles } from "../../src/ports/federated-bundles.ts"
import type { IssuanceLog } from "../../src/ports/issuance-log.ts"
import type { ProposalLog } from "../../src/ports/proposals.ts"
import type { ReplayLog } from "../../src/ports/replay-log.ts"
import type { RevocationLog } from "../../src/ports/revocations.ts"
import { makeScratch } from "./scratch.ts"

export interface StoreUnderTest extends AsyncDisposable {
  readonly issuanceLog: IssuanceLog
  readonly auditLog: AuditLog
  readonly authorityJournal: AuthorityJournal
  readonly replayLog: ReplayLog
  readonly revocationLog: RevocationLog
  readonly consumerLog: ConsumerLog
  readonly holdings: HoldingsReader & HolderCounter & KeyHolderReader & CertificateReader
  readonly banLog: BanLog
  readonly proposalLog: ProposalLog
  readonly federatedBundles: FederatedBundles
}

/** Every adapter of the storage ports: a contract suite runs over all of them. */
export const STORES: readonly { readonly name: string; readonly open: () => Promise<StoreUnderTest> }[] = [
  { name: "memory", open: async () => openMemoryStore() },
  { name: "sqlite", open: openScratchSqlite },
]

async function openScratchSqlite(): Promise<StoreUnderTest> {
  const scratch = await makeScratch()
  const store = await openSqliteStore({ path: scratch.path("store.db"), mode: "create" })
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    await scratch[Symbol.asyncDispose]()
  }
  const { issuanceLog, auditLog, authorityJournal, replayLog, revocationLog, consumerLog, holdings } = store
  const { banLog, proposalLog, federatedBundles } = store
  return {
    issuanceLog,
    auditLog,
    authorityJournal,
    replayLog,
    revocationLog,
    banLog,
    proposalLog,
    federatedBundles,
    consumerLog,
    holdings,
    [Symbol.asyncDispose]: close,
  }
}
