import { IdentityError } from "../errors.ts"
import type { JsonObject } from "../json.ts"
import { isSegment } from "../rules/template.ts"
import { type SpiffeId, type TrustDomain, workloadId } from "../spiffe/id.ts"

/** The path of a SPIFFE ID made of the claims of an outside issuer's token, e.g. `/ci/{{repository...}}/{{environment}}`. */
export interface ClaimTemplate {
  readonly source: string
  readonly parts: readonly Part[]
}

type Part =
  | { readonly kind: "literal"; readonly text: string }
  /** `many`: the value may be several segments of a path, written `{{claim...}}`. */
  | { readonly kind: "claim"; readonly name: string; readonly many: boolean }

/** @throws IdentityError `malformed` for a stray brace, or a path that does not start with a slash @see EXT-02 */
export function parseClaimTemplate(source: string): ClaimTemplate {
  if (!source.startsWith("/")) throw new IdentityError("malformed", "must start with a slash")
  const parts: Part[] = []
  for (const piece of source.split(/(\{\{[^{}]*\}\})/)) {
    if (piece === "") continue
    parts.push(piece.startsWith("{{") ? parseClaim(piece.slice(2, -2).trim()) : parseLiteral(piece))
  }
  return { source, parts }
}

/** The ID that a token's claims give; `undefined` when a claim is missing or cannot stand in a path. @see EXT-02 */
export function renderClaimTemplate(
  template: ClaimTemplate,
  claims: JsonObject,
  trustDomain: TrustDomain,
): SpiffeId | undefined {
  let path = ""
  for (const part of template.parts) {
    if (part.kind === "literal") {
      path += part.text
      continue
    }
    const value = claims[part.name]
    if (typeof value !== "string") return undefined
    const segments = part.many ? value.split("/") : [value]
    if (segments.length > MAX_SEGMENTS || !segments.every(isSegment)) return undefined
    path += value
  }
  return workloadId(trustDomain, path)
}

function parseClaim(text: string): Part {
  const many = text.endsWith("...")
  const name = many ? text.slice(0, -3) : text
  if (!CLAIM.test(name)) throw new IdentityError("malformed", `"${name}" is not the name of a claim`)
  return { kind: "claim", name, many }
}

function parseLiteral(text: string): Part {
  if (!LITERAL.test(text))
    throw new IdentityError("malformed", "has a character that cannot stand in a SPIFFE ID's path")
  return { kind: "literal", text }
}

const CLAIM = /^[A-Za-z0-9_.:-]{1,128}$/
const LITERAL = /^[A-Za-z0-9._/-]+$/
const MAX_SEGMENTS = 16
