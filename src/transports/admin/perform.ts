import type { RecordRefusals } from "../../app/audit/record-refusals.ts"
import { type AdminCaller, callerText } from "../../core/admin/caller.ts"
import { type AdminRole, decideAdmin } from "../../core/admin/decide-admin.ts"
import type { Proposal } from "../../core/admin/proposal.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Approvals } from "./approvals.ts"
import type { Operation, PreparedOperation } from "./operation.ts"

export interface PerformDeps {
  readonly roles: () => readonly AdminRole[]
  readonly audit: AuditLog
  readonly refusals: Pick<RecordRefusals, "operation">
  readonly clock: Clock
  readonly events: AdminEvents
  readonly approvals: Pick<Approvals, "isNeeded" | "propose">
}

/** What operators do, for log and metrics: one call per event. */
export interface AdminEvents {
  /** Answered with what it asks for, or with an error of that code. */
  answered(operation: string, caller: string, requestId: string, error: IdentityError | undefined): void
  /** It waits for a second person now. */
  proposed(operation: string, caller: string, requestId: string, proposal: string): void
  /** Nobody knows who asked. */
  unauthenticated(requestId: string, error: IdentityError): void
}

/** One request of an authenticated caller. */
export interface AdminRequest {
  readonly caller: AdminCaller
  readonly requestId: string
  /** Members of path, query and body, not checked yet. */
  readonly input: unknown
}

/**
 * The one way to any operation: check the request, authorize, audit, do. The record is durable before anything is done, and
 * without it nothing is. What needs a second person becomes a proposal instead.
 * @throws IdentityError as the operation; `malformed`; `policy-denied` with a reason @see ADM-05 ADM-06 ADM-07 ADM-21
 */
export type Perform = (operation: Operation, request: AdminRequest, signal: AbortSignal) => Promise<Performed>

export type Performed =
  | { readonly kind: "done"; readonly reply: object }
  | { readonly kind: "proposed"; readonly proposal: Proposal }

export function makePerform(deps: PerformDeps): Perform {
  return async (operation, request, signal) => {
    const { name } = operation.contract
    const { caller, requestId } = request
    try {
      const performed = await perform(deps, operation, request, signal)
      if (performed.kind === "done") deps.events.answered(name, callerText(caller), requestId, undefined)
      else deps.events.proposed(name, callerText(caller), requestId, performed.proposal.id)
      return performed
    } catch (thrown) {
      const error = toIdentityError(thrown)
      deps.events.answered(name, callerText(caller), requestId, error)
      throw error
    }
  }
}

async function perform(
  deps: PerformDeps,
  operation: Operation,
  request: AdminRequest,
  signal: AbortSignal,
): Promise<Performed> {
  const { contract } = operation
  const { caller, requestId } = request
  const prepared = operation.prepare(request.input)
  const record = { at: deps.clock.now(), actor: callerText(caller), requestId, operation: contract.name }
  const target = targetOf(prepared)
  const decision = decideAdmin(caller, contract.verb, prepared.scope, deps.roles())
  if (decision.kind === "refuse") {
    const { reason } = decision
    const { at: _, ...refused } = record
    await deps.refusals.operation({ type: "admin.refused", ...refused, target, code: "policy-denied", reason })
    throw roleRefusal(reason, contract.verb)
  }
  const { role } = decision
  const { dryRun } = prepared
  if (!dryRun && deps.approvals.isNeeded(contract)) {
    const proposal = await deps.approvals.propose(operation, prepared, { ...request, target, role })
    return { kind: "proposed", proposal }
  }
  if (contract.polled !== true) await deps.audit.append({ type: "admin.permitted", ...record, target, role, dryRun })
  try {
    return { kind: "done", reply: await prepared.run({ caller, requestId, dryRun }, signal) }
  } catch (thrown) {
    const error = toIdentityError(thrown)
    const { code, reason = code } = error
    if (contract.method !== "GET") {
      await deps.audit.append({ type: "admin.failed", ...record, at: deps.clock.now(), target, code, reason })
    }
    throw error
  }
}

/** For audit records: what it is done to. */
export function targetOf({ scope, target }: PreparedOperation): string {
  if (target !== "") return target
  return scope.kind === "trust-domain" ? "the trust domain" : ""
}

/** Of whom no role permits this. */
export function roleRefusal(reason: keyof typeof REFUSALS, verb: string): IdentityError {
  const message = REFUSALS[reason]
  const prefixes = reason === "outside-prefixes" ? ", and prefixes that cover them: none for what is of all" : ""
  return new IdentityError("policy-denied", message, {
    reason,
    next: `ask for a role in admin.roles of the server's configuration with the verb "${verb}"${prefixes}`,
  })
}

const REFUSALS = {
  "no-role": "you have no role here",
  "verb-not-granted": "none of your roles lets you do this",
  "outside-prefixes": "your roles do not cover the identities that this is about",
} as const
