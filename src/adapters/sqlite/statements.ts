import type { DatabaseSync, StatementSync } from "node:sqlite"
import { type AuditEntry, entryOf } from "../../core/audit/record.ts"
import { authorityReplaced } from "../../core/authority/authority-replaced.ts"
import { IdentityError } from "../../core/errors.ts"
import { refusedRenewalEvent, renewalError } from "../../core/lineage/lineage-refusal.ts"
import type { Instant } from "../../core/time.ts"
import { AuditStatements } from "./audit-statements.ts"
import { BanStatements } from "./ban-statements.ts"
import { ConsumerStatements } from "./consumer-statements.ts"
import { EmergencyEpochs } from "./emergency-epochs.ts"
import { FederatedStatements } from "./federated-statements.ts"
import { IntentPruning } from "./intent-pruning.ts"
import { INTENT_COLUMNS, ISSUANCE_COLUMNS, ISSUANCES, keyColumns } from "./intent-row.ts"
import { type JudgedRenewal, LineageStatements } from "./lineage-statements.ts"
import { encodeFailure, type Operation, type OperationResult } from "./operation.ts"
import { ProofStatements } from "./proof-statements.ts"
import { ProposalStatements } from "./proposal-statements.ts"
import { RecentKeys } from "./recent-keys.ts"
import { type KnownRecipient, Recipients } from "./recipients.ts"
import type { SqlRow } from "./sql-row.ts"

/** Runs single operations inside a transaction that is somebody else's matter. */
export class Statements {
  readonly #recent: RecentKeys
  readonly #recipients: Recipients
  readonly #proofs: ProofStatements
  readonly #consumers: ConsumerStatements
  readonly #audit: AuditStatements
  readonly #bans: BanStatements
  readonly #emergencies: EmergencyEpochs
  readonly #lineages: LineageStatements
  readonly #proposals: ProposalStatements
  readonly #federated: FederatedStatements
  readonly #insertIntent: StatementSync
  readonly #findReusable: StatementSync
  readonly #insertOutcome: StatementSync
  readonly #insertOutcomeOf: StatementSync
  readonly #createAuthority: StatementSync
  readonly #replaceAuthority: StatementSync
  readonly #readAuthority: StatementSync
  readonly #adoptIssuing: StatementSync
  readonly #readIssuing: StatementSync
  readonly #pruning: IntentPruning

  constructor(db: DatabaseSync) {
    this.#recent = new RecentKeys(db)
    this.#recipients = new Recipients(db)
    this.#proofs = new ProofStatements(db)
    this.#consumers = new ConsumerStatements(db)
    this.#bans = new BanStatements(db)
    this.#emergencies = new EmergencyEpochs(db)
    this.#lineages = new LineageStatements(db)
    this.#proposals = new ProposalStatements(db)
    this.#federated = new FederatedStatements(db)
    this.#insertIntent = db.prepare(INSERT_INTENT)
    this.#findReusable = db.prepare(FIND_REUSABLE)
    this.#insertOutcome = db.prepare(INSERT_OUTCOME)
    this.#insertOutcomeOf = db.prepare(INSERT_OUTCOME_OF)
    this.#audit = new AuditStatements(db)
    this.#createAuthority = db.prepare(CREATE_AUTHORITY)
    this.#replaceAuthority = db.prepare(REPLACE_AUTHORITY)
    this.#readAuthority = db.prepare(READ_AUTHORITY)
    this.#adoptIssuing = db.prepare(ADOPT_ISSUING)
    this.#readIssuing = db.prepare(READ_ISSUING)
    this.#pruning = new IntentPruning(db, this.#recipients)
  }

  /** To be called in each transaction, first. */
  begin(): void {
    this.#audit.begin()
    this.#bans.begin()
    this.#emergencies.begin()
    this.#lineages.begin()
  }

  /** To be called in each transaction, before it is committed. */
  end(): void {
    this.#lineages.end()
  }

  /** To be called when what was run may be undone. */
  undone(): void {
    this.#recipients.forget()
    this.#emergencies.undone()
    this.#lineages.undone()
  }

  /** A refusal is a result; what is thrown is trouble with the store. */
  run(operation: Operation): OperationResult {
    switch (operation.kind) {
      case "intent":
        return this.#recordIntent(operation)
      case "outcome":
        this.#insertOutcome.run(operation.signature, operation.serial)
        return DONE
      case "outcome-of":
        this.#insertOutcomeOf.run(operation.intent, operation.signature)
        return DONE
      case "audit":
        this.#audit.append(operation.audit)
        return DONE
      case "start-audit":
        this.#audit.start(operation.origin, operation.at)
        return DONE
      case "read-audit-state":
        return { kind: "audit-state", state: this.#audit.state() }
      case "create-authority":
        return oneRow(this.#createAuthority.run(operation.revision, operation.record), INITIALISED)
      case "replace-authority":
        this.#emergencies.begin()
        return oneRow(
          this.#replaceAuthority.run(operation.revision, operation.record, operation.revision - 1),
          CONFLICT,
        )
      case "adopt-issuing":
        return oneRow(this.#adoptIssuing.run(...operation.row), ADOPTED)
      case "prune":
        return this.#pruning.run(operation.before, operation.batch)
      case "revoke":
        return this.#audited(operation.audit, this.#proofs.run(operation))
      case "claim":
      case "read-revocations":
      case "prune-proofs":
        return this.#proofs.run(operation)
      case "prune-lineages":
        return { kind: "pruned", ...this.#lineages.prune(operation.before, operation.batch) }
      case "write-consumers":
      case "read-consumers":
        return this.#consumers.run(operation)
      case "add-ban":
      case "lift-ban":
        return this.#audited(operation.audit, this.#bans.run(operation))
      case "add-proposal":
      case "decide-proposal":
      case "resume-proposal":
      case "settle-proposal":
        return this.#audited(operation.audit, this.#proposals.run(operation))
      case "read-proposals":
        return this.#proposals.run(operation)
      case "keep-federated":
      case "forget-federated":
        return this.#audited(operation.audit, this.#federated.run(operation))
      case "read-federated":
        return this.#federated.run(operation)
      case "read-bans":
      case "prune-bans":
        return this.#bans.run(operation)
      case "read-authority":
        return { kind: "row", row: this.#readAuthority.get() }
      case "read-issuing":
        return { kind: "row", row: this.#readIssuing.get(operation.authorityId) }
      case "barrier":
      case "try-write":
        return DONE
      default:
        return operation satisfies never
    }
  }

  #recordIntent(operation: IntentOperation): OperationResult {
    if (operation.bansSeen !== this.#bans.head) return BANS_CHANGED
    const { intent, renewal } = operation
    const { recipient: name, kind, epoch } = keyColumns(intent)
    const emergencyEpoch = this.#emergencies.of(kind)
    if (epoch < emergencyEpoch) return REPLACED
    if (operation.idempotencyKey !== null) {
      const row = this.#reusable(operation.idempotencyKey, operation.reuseSince, emergencyEpoch)
      if (row !== undefined) return { kind: "row", row }
    }
    const recipient = this.#recipients.find(name)
    const judged = renewal === null ? undefined : this.#lineages.judge(intent, recipient, renewal)
    if (judged?.verdict.kind === "violated" || judged?.verdict.kind === "frozen") {
      return this.#refuse(judged, recipient, operation)
    }
    const inserted = this.#insertIntent.run(recipient.id, ...intent.slice(1), judged?.lineage?.id ?? null)
    if (inserted.changes === 0) return SERIAL_USED
    if (judged !== undefined && renewal !== null) {
      this.#lineages.move(judged, intent, renewal, Number(inserted.lastInsertRowid))
    }
    if (operation.idempotencyKey !== null) this.#recent.add(operation.idempotencyKey, inserted.lastInsertRowid)
    this.#audit.append(operation.audit)
    return { kind: "recorded", id: Number(inserted.lastInsertRowid) }
  }

  /** The caller hears of it once its record is durable. */
  #refuse(
    { verdict, lineage }: JudgedRenewal,
    { spiffeId }: KnownRecipient,
    { renewal, audit }: IntentOperation,
  ): OperationResult {
    const kind = verdict.kind === "violated" ? "violated" : "frozen"
    const { at, actor, requestId } = audit
    const facts = { spiffeId, quoted: renewal?.quoted ?? "", current: lineage?.current ?? "" }
    this.#audit.append(entryOf(refusedRenewalEvent({ verdict: kind, at, actor, requestId, ...facts })))
    return REFUSED_RENEWAL[kind]
  }

  #audited(audit: AuditEntry, result: OperationResult): OperationResult {
    if (result.kind === "done") this.#audit.append(audit)
    return result
  }

  /** The row is read again: its transaction may have been rolled back. */
  #reusable(key: Uint8Array, since: Instant, epoch: number): SqlRow | undefined {
    const id = this.#recent.find(key)
    return id === undefined ? undefined : this.#findReusable.get(id, key, since, epoch)
  }
}

type IntentOperation = Operation & { readonly kind: "intent" }

function oneRow(result: { readonly changes: number | bigint }, otherwise: OperationResult): OperationResult {
  return result.changes === 1 ? DONE : otherwise
}

function refusal(code: "already-exists" | "conflict", message: string, reason?: string): OperationResult {
  const options = reason === undefined ? {} : { reason }
  return failed(new IdentityError(code, message, options))
}

function failed(error: IdentityError): OperationResult {
  return { kind: "failed", failure: encodeFailure(error) }
}

const DONE: OperationResult = { kind: "done" }
const SERIAL_USED = refusal("already-exists", "serial was used before")
const INITIALISED = refusal("already-exists", "trust domain was initialised before")
const CONFLICT = refusal("conflict", "authority record was changed by another writer")
const ADOPTED = refusal("already-exists", "issuing authority was adopted before")
const BANS_CHANGED = refusal("conflict", "a ban was added or lifted meanwhile", "bans-changed")
const REPLACED = failed(authorityReplaced())

const REFUSED_RENEWAL = {
  violated: { kind: "refused", failure: encodeFailure(renewalError("violated")) },
  frozen: { kind: "refused", failure: encodeFailure(renewalError("frozen")) },
} as const

const INSERT_INTENT = `INSERT INTO intent (${INTENT_COLUMNS}, lineage)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (serial) DO NOTHING`
const FIND_REUSABLE = `SELECT ${ISSUANCE_COLUMNS}, signature FROM ${ISSUANCES} JOIN outcome ON intent_id = intent.id
WHERE intent.id = ? AND idempotency_key = ? AND created_at >= ? AND epoch >= ?`
const INSERT_OUTCOME = `INSERT INTO outcome (intent_id, signature) SELECT id, ? FROM intent WHERE serial = ?
ON CONFLICT (intent_id) DO NOTHING`
const INSERT_OUTCOME_OF = "INSERT INTO outcome (intent_id, signature) VALUES (?, ?) ON CONFLICT (intent_id) DO NOTHING"
const CREATE_AUTHORITY = `INSERT INTO authority (id, revision, record) VALUES (1, ?, ?) ON CONFLICT (id) DO NOTHING`
const REPLACE_AUTHORITY = "UPDATE authority SET revision = ?, record = ? WHERE id = 1 AND revision = ?"
const READ_AUTHORITY = "SELECT record FROM authority WHERE id = 1"
const ADOPT_ISSUING = `INSERT INTO issuing_authority (authority_id, certificate, root_key_id, not_after)
VALUES (?, ?, ?, ?) ON CONFLICT (authority_id) DO NOTHING`
const READ_ISSUING =
  "SELECT authority_id, certificate, root_key_id, not_after FROM issuing_authority WHERE authority_id = ?"
