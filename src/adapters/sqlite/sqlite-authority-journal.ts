import { IdentityError } from "../../core/errors.ts"
import type { AuthorityJournal, AuthorityRecord, IssuingRecord } from "../../ports/authority-journal.ts"
import { encodeAuthority, parseAuthority } from "./authority-json.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { compact } from "./intent-row.ts"
import type { Operation } from "./operation.ts"
import { bytesOf, integerOf, type SqlRow, textOf } from "./sql-row.ts"

export class SqliteAuthorityJournal implements AuthorityJournal {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async read(): Promise<AuthorityRecord | undefined> {
    const row = await this.#readRow({ kind: "read-authority" })
    return row === undefined ? undefined : parseAuthority(textOf(row, "record"))
  }

  async create(record: AuthorityRecord): Promise<void> {
    await this.#queue.submit({
      kind: "create-authority",
      revision: record.revision,
      record: encodeAuthority(record),
    })
  }

  async replace(record: AuthorityRecord): Promise<void> {
    await this.#queue.submit({
      kind: "replace-authority",
      revision: record.revision,
      record: encodeAuthority(record),
    })
  }

  async adoptIssuing(issuing: IssuingRecord): Promise<void> {
    const { authorityId, certificate, rootKeyId, notAfter } = issuing
    await this.#queue.submit({
      kind: "adopt-issuing",
      row: [authorityId, compact(certificate), rootKeyId, notAfter],
    })
  }

  async readIssuing(authorityId: string): Promise<IssuingRecord> {
    const row = await this.#readRow({ kind: "read-issuing", authorityId })
    if (row === undefined) throw new IdentityError("not-found", "no such issuing authority")
    return {
      authorityId: textOf(row, "authority_id"),
      certificate: bytesOf(row, "certificate"),
      rootKeyId: textOf(row, "root_key_id"),
      notAfter: integerOf(row, "not_after"),
    }
  }

  async #readRow(operation: Operation): Promise<SqlRow | undefined> {
    const result = await this.#queue.submit(operation)
    return result.kind === "row" ? result.row : undefined
  }
}
