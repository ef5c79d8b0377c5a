import type { z } from "zod"
import type { AdminCaller } from "../../core/admin/caller.ts"
import type { AdminScope } from "../../core/admin/decide-admin.ts"
import { IdentityError } from "../../core/errors.ts"
import { parseSpiffeId } from "../../core/spiffe/id.ts"
import type { Contract } from "./contract.ts"
import { wireRequest } from "./contract.ts"

/** A contract with what does it. */
export interface Operation {
  readonly contract: Contract
  /** Check the request; nothing is done yet. @throws IdentityError `malformed` */
  prepare(request: unknown): PreparedOperation
}

export interface PreparedOperation {
  readonly scope: AdminScope
  /** For the audit record: what it is done to. */
  readonly target: string
  readonly dryRun: boolean
  /** Names what it would be done over; a request that was approved is not done over anything else. */
  over(): string
  /** The reply, which holds to the contract. */
  run(call: AdminCall, signal: AbortSignal): Promise<object>
}

/** Who does it, by which request. */
export interface AdminCall {
  readonly caller: AdminCaller
  readonly requestId: string
  /** Of a destructive operation: say what would be done, and do nothing. */
  readonly dryRun: boolean
  /** What the request was approved over; `undefined` for one that needed no second person. @see ADM-23 */
  readonly over?: string
}

export interface Binding<C extends Contract> {
  /** @throws IdentityError `malformed` for what no schema can tell */
  readonly scope: (request: z.output<C["request"]>) => AdminScope
  /** At most 512 characters are recorded. Default: the patterns of the scope. */
  readonly target?: (request: z.output<C["request"]>) => string
  /** Names the state that a request is about, where there is one. */
  readonly over?: (request: z.output<C["request"]>) => string
  readonly handle: (
    request: z.output<C["request"]>,
    call: AdminCall,
    signal: AbortSignal,
  ) => Promise<z.input<C["response"]>>
}

/** Of a search by identity; without one the answer may be about any. @throws IdentityError `malformed` */
export function scopeOfSearch(id: string | undefined): AdminScope {
  if (id === undefined) return { kind: "trust-domain" }
  return { kind: "ids", patterns: [{ kind: "exact", id: parseSpiffeId(id) }] }
}

/** Bind a contract to its use case. */
export function bindOperation<C extends Contract>(contract: C, binding: Binding<C>): Operation {
  const wire = wireRequest(contract)
  return {
    contract,
    prepare: (raw) => {
      const parsed = wire.safeParse(raw)
      if (!parsed.success) throw refusedRequest(parsed.error)
      const { dry_run: dryRun, ...rest } = parsed.data
      const members = contract.destructive === true ? rest : parsed.data
      // The wire schema is the contract's own, with dry_run beside it.
      const request = members as z.output<C["request"]>
      return {
        scope: binding.scope(request),
        target: (binding.target?.(request) ?? "").slice(0, MAX_TARGET),
        dryRun: contract.destructive === true && dryRun !== false,
        over: () => binding.over?.(request) ?? "",
        run: async (call, signal) => contract.response.parse(await binding.handle(request, call, signal)),
      }
    },
  }
}

/** What is wrong with a request, in a sentence: names the member that is, and nothing that the caller wrote but names that hardly any secret has. @see AUD-07 */
export function whatIsWrong(error: z.ZodError): string {
  const [issue] = error.issues
  const where = issue?.path.map(String).join(".") ?? ""
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys.find((key) => /^[a-z_]{1,40}$/.test(key)) : undefined
  const what =
    issue?.code === "unrecognized_keys"
      ? `unknown member${unknown === undefined ? "" : ` "${unknown}"`}`
      : issue?.message
  return `${where === "" ? "the request" : where.slice(0, 128)}: ${what ?? "is not valid"}`
}

function refusedRequest(error: z.ZodError): IdentityError {
  return new IdentityError("malformed", whatIsWrong(error), {
    reason: "request-invalid",
    next: "compare the request with /admin/v1/openapi.json",
  })
}

const MAX_TARGET = 512
