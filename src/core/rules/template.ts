import { IdentityError } from "../errors.ts"

/** The names that a template can use, each a claim of the caller. */
export type TemplateVariable = (typeof TEMPLATE_VARIABLES)[number]
export type TemplateValues = { readonly [K in TemplateVariable]: string | undefined }

export type TemplatePart =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "variable"; readonly name: TemplateVariable }

/** Text with `{{variable}}` in it. */
export interface Template {
  readonly source: string
  readonly parts: readonly TemplatePart[]
}

/** @throws IdentityError `malformed` for an unknown variable or a stray brace @see RUL-04 */
export function parseTemplate(source: string): Template {
  const parts: TemplatePart[] = []
  for (const piece of source.split(/(\{\{[^{}]*\}\})/)) {
    if (piece === "") continue
    parts.push(
      piece.startsWith("{{") ? { kind: "variable", name: variable(piece.slice(2, -2).trim()) } : literal(piece),
    )
  }
  return { source, parts }
}

/** What a template gives for one caller, or the variable whose value cannot stand in it. @see RUL-05 */
export function renderTemplate(
  template: Template,
  values: TemplateValues,
):
  | { readonly kind: "rendered"; readonly text: string }
  | { readonly kind: "refused"; readonly variable: TemplateVariable } {
  let text = ""
  for (const part of template.parts) {
    if (part.kind === "literal") {
      text += part.text
      continue
    }
    const value = values[part.name]
    if (value === undefined || !isSegment(value)) return { kind: "refused", variable: part.name }
    text += value
  }
  return { kind: "rendered", text }
}

/** True for a text that is one segment of a SPIFFE ID path, whatever stands beside it. */
export function isSegment(value: string): boolean {
  return SEGMENT.test(value) && value !== "." && value !== ".."
}

function literal(text: string): TemplatePart {
  if (/[{}]/.test(text)) throw new IdentityError("malformed", "has a brace that is not part of {{variable}}")
  return { kind: "literal", text }
}

function variable(name: string): TemplateVariable {
  const known = TEMPLATE_VARIABLES.find((candidate) => candidate === name)
  if (known !== undefined) return known
  throw new IdentityError("malformed", `unknown variable "${name}"; known: ${TEMPLATE_VARIABLES.join(", ")}`)
}

const TEMPLATE_VARIABLES = ["cluster", "namespace", "service_account", "pod", "pod_uid", "node", "node_uid"] as const
const SEGMENT = /^[A-Za-z0-9._-]{1,255}$/
