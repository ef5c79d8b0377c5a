import { type Held, holderKey, holderOf } from "../../core/authority/holder.ts"
import type { BanTarget } from "../../core/ban/ban.ts"
import { namedBy } from "../../core/ban/ban-index.ts"
import { certifiedKeyName } from "../../core/ban/key-name.ts"
import type { Instant } from "../../core/time.ts"
import type { AuthorityJournal } from "../../ports/authority-journal.ts"
import type {
  CertificateReader,
  HolderCount,
  HolderCounter,
  Holdings,
  HoldingsReader,
  KeyHolder,
  KeyHolderReader,
  PodOfCluster,
} from "../../ports/consumers.ts"
import type { Intent } from "../../ports/issuance-log.ts"

/** @see MemoryStore */
export class MemoryHoldings implements HoldingsReader, HolderCounter, KeyHolderReader, CertificateReader {
  readonly #intents: () => Iterable<Intent>
  readonly #journal: Pick<AuthorityJournal, "readIssuing">

  constructor(intents: () => Iterable<Intent>, journal: Pick<AuthorityJournal, "readIssuing">) {
    this.#intents = intents
    this.#journal = journal
  }

  async readHoldings(now: Instant): Promise<Holdings> {
    const held = new Map<string, Held>()
    const lastTokens = new Map<string, Instant>()
    for (const intent of [...this.#intents()].filter(({ notAfter }) => notAfter > now)) {
      if (intent.kind === "jwt") {
        lastTokens.set(intent.authorityId, Math.max(intent.notAfter, lastTokens.get(intent.authorityId) ?? 0))
        continue
      }
      const { rootKeyId } = await this.#journal.readIssuing(intent.authorityId)
      const key = `${intent.spiffeId} ${holderKey(holderOf(intent.requester))}`
      held.set(key, withIntent(held.get(key), intent, rootKeyId))
    }
    return { held: [...held.values()], lastTokens }
  }

  async countHolders(target: BanTarget, now: Instant): Promise<HolderCount> {
    const isNamed = namedBy(target)
    const { held } = await this.readHoldings(now)
    const found = held.filter(({ spiffeId, holder }) => isNamed({ ids: [spiffeId], places: [holder], keys: [] }))
    const ends = found.map(({ notAfter }) => notAfter)
    return { holders: found.length, lastExpiry: ends.length === 0 ? undefined : Math.max(...ends) }
  }

  async readKeyHolders(keys: readonly string[], now: Instant): Promise<readonly KeyHolder[]> {
    const [wanted, found] = [new Set(keys), new Map<string, KeyHolder>()]
    for (const { kind, tbs, notAfter, requester, spiffeId } of this.#intents()) {
      const key = certifiedKeyName(tbs)
      if (kind !== "x509" || notAfter <= now || !wanted.has(key)) continue
      const holder = holderOf(requester)
      const name = `${key} ${spiffeId} ${holderKey(holder)}`
      found.set(name, { key, holder, spiffeId, notAfter: Math.max(notAfter, found.get(name)?.notAfter ?? 0) })
    }
    return [...found.values()]
  }

  async holdsCertificate({ cluster, namespace, pod, podUid }: PodOfCluster, now: Instant): Promise<boolean> {
    const wanted = JSON.stringify([cluster, namespace, pod, podUid])
    return [...this.#intents()].some(
      ({ kind, notAfter, requester: r }) =>
        kind === "x509" && notAfter > now && JSON.stringify([r.cluster, r.namespace, r.pod, r.podUid]) === wanted,
    )
  }
}

function withIntent(before: Held | undefined, intent: Intent, keyId: string): Held {
  const same = before?.roots.find((root) => root.keyId === keyId)
  const others = before?.roots.filter((root) => root !== same) ?? []
  const root = { keyId, notAfter: Math.max(same?.notAfter ?? 0, intent.notAfter) }
  return {
    holder: before?.holder ?? holderOf(intent.requester),
    spiffeId: intent.spiffeId,
    roots: [...others, root],
    notAfter: Math.max(before?.notAfter ?? 0, intent.notAfter),
    lastIssued: Math.max(before?.lastIssued ?? 0, intent.createdAt),
  }
}
