import { type AdminCaller, callerText } from "../../core/admin/caller.ts"
import { type AdminRole, decideAdmin } from "../../core/admin/decide-admin.ts"
import { IdentityError, toIdentityError } from "../../core/errors.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Operation, PreparedOperation } from "./operation.ts"

export interface PerformDeps {
  readonly roles: () => readonly AdminRole[]
  readonly audit: AuditLog
  readonly clock: Clock
  readonly events: AdminEvents
}

/** What operators do, for log and metrics: one call per event. */
export interface AdminEvents {
  /** Answered with what it asks for, or with an error of that code. */
  answered(operation: string, caller: string, requestId: string, error: IdentityError | undefined): void
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
 * without it nothing is. @throws IdentityError as the operation; `malformed`; `policy-denied` with a reason
 * @see ADM-05 ADM-06 ADM-07
 */
export type Perform = (operation: Operation, request: AdminRequest, signal: AbortSignal) => Promise<object>

export function makePerform(deps: PerformDeps): Perform {
  return async (operation, request, signal) => {
    const { name } = operation.contract
    const { caller, requestId } = request
    try {
      const reply = await perform(deps, operation, request, signal)
      deps.events.answered(name, callerText(caller), requestId, undefined)
      return reply
    } catch (thrown) {
      const error = toIdentityError(thrown)
      deps.events.answered(name, callerText(caller), requestId, error)
      throw error
    }
  }
}

async function perform(deps: PerformDeps, operation: Operation, request: AdminRequest, signal: AbortSignal) {
  const { contract } = operation
  const { caller, requestId } = request
  const prepared = operation.prepare(request.input)
  const record = { at: deps.clock.now(), actor: callerText(caller), requestId, operation: contract.name }
  const target = targetOf(prepared)
  const decision = decideAdmin(caller, contract.verb, prepared.scope, deps.roles())
  if (decision.kind === "refuse") {
    const { reason } = decision
    await deps.audit.append({ type: "admin.refused", ...record, target, code: "policy-denied", reason })
    throw refusal(reason, contract.verb)
  }
  const { role } = decision
  const { dryRun } = prepared
  if (contract.polled !== true) await deps.audit.append({ type: "admin.permitted", ...record, target, role, dryRun })
  try {
    return await prepared.run({ caller, requestId, dryRun }, signal)
  } catch (thrown) {
    const error = toIdentityError(thrown)
    const { code, reason = code } = error
    if (contract.method !== "GET") {
      await deps.audit.append({ type: "admin.failed", ...record, at: deps.clock.now(), target, code, reason })
    }
    throw error
  }
}

function targetOf({ scope, target }: PreparedOperation): string {
  if (target !== "") return target
  return scope.kind === "trust-domain" ? "the trust domain" : ""
}

function refusal(reason: keyof typeof REFUSALS, verb: string): IdentityError {
  const message = REFUSALS[reason]
  return new IdentityError("policy-denied", message, {
    reason,
    next: `ask for a role in admin.roles of the server's configuration with the verb "${verb}"`,
  })
}

const REFUSALS = {
  "no-role": "you have no role here",
  "verb-not-granted": "none of your roles lets you do this",
  "outside-prefixes": "your roles do not cover the identities that this is about",
} as const
