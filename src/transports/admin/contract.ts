import { z } from "zod"
import type { AdminVerb } from "../../core/admin/verb.ts"

/** What client, server and OpenAPI share about one operation. Unknown members are refused both ways. */
export interface Contract<Request extends z.ZodObject = z.ZodObject, Response extends z.ZodObject = z.ZodObject> {
  /** `<noun>.<verb>`, as in audit records: `rotation.start`. */
  readonly name: string
  /** The right that it needs. */
  readonly verb: AdminVerb
  /** GET changes nothing, and its request is the query. Else the request is a JSON object. */
  readonly method: "GET" | "POST" | "DELETE"
  /** Below `/admin/v1`; `{name}` is a member of the request. */
  readonly path: string
  readonly summary: string
  readonly request: Request
  readonly response: Response
  /** Takes something away that does not come back by itself: it is tried only (`dry_run`, default true) until told otherwise. */
  readonly destructive?: true
  /** Asked again and again by screens, and names no identity: permits are not audited, refusals are. */
  readonly polled?: true
}

/** Keeps the types of the schemas. */
export function defineContract<Request extends z.ZodObject, Response extends z.ZodObject>(
  contract: Contract<Request, Response>,
): Contract<Request, Response> {
  return contract
}

/** What a caller writes for an operation, with `dry_run` when it is destructive. */
export type RequestOf<C extends Contract> = z.input<C["request"]>
export type ResponseOf<C extends Contract> = z.output<C["response"]>

/** The request as it is on the wire. */
export function wireRequest({ request, destructive }: Contract): z.ZodObject {
  return destructive === true ? request.extend(DRY_RUN) : request
}

/** Unix seconds. */
export function instant() {
  return z.int().min(0)
}

/** A whole number in a query, where everything is text. */
export function queryCount(bounds: { readonly min: number; readonly max: number }) {
  return z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= bounds.min && value <= bounds.max, `must be from ${bounds.min} to ${bounds.max}`)
}

/** What was issued, as the log names it: a serial, of today or of an older server, or a `jti`. */
export function loggedSerial() {
  return z
    .string()
    .regex(
      /^[0-9a-f]{32}(?:[0-9a-f]{2}|[0-9a-f]{6})?$/,
      "must be the 38 (or 34) hex digits of a serial, or the 32 of a jti",
    )
}

export const DRY_RUN = {
  dry_run: z.boolean().default(true).describe("Say what would be done, and do nothing. Default true."),
}
