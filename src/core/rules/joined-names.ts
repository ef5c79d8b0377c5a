import { pathSegments } from "./id-space.ts"
import type { RuleProblem } from "./rule.ts"
import type { CompiledRule } from "./rule-table.ts"
import type { TemplatePart } from "./template.ts"

/**
 * Templates in which the namespace runs together with another name, so that callers of two namespaces can be given the same ID or
 * DNS name: `{{namespace}}-{{service_account}}` is `a-b-c` for `c` in `a-b` and for `b-c` in `a`. @see RUL-18
 */
export function* joinedNames(rules: readonly CompiledRule[]): Generator<RuleProblem> {
  for (const rule of rules) {
    const path = ["rules", rule.ordinal] as const
    if (isJoined(pathSegments(rule), rule)) yield { path: [...path, "spiffe_id"], message: MESSAGE }
    for (const [i, { parts }] of rule.dnsNames.entries()) {
      if (isJoined([parts], rule)) yield { path: [...path, "dns_names", i], message: MESSAGE }
    }
  }
}

/** The namespace is in one of the segments, and can be read from none. */
function isJoined(segments: readonly (readonly TemplatePart[])[], rule: CompiledRule): boolean {
  if (!haveCommonEnds(rule.spec.namespaces)) return false
  const withIt = segments.filter((parts) => parts.some(isNamespace))
  return withIt.length > 0 && !withIt.some((parts) => isReadable(parts, rule))
}

/** Names that are listed run into each other only where one begins or ends with another. */
function haveCommonEnds(listed: readonly string[] | undefined): boolean {
  if (listed === undefined) return true
  return listed.some((a) => listed.some((b) => a !== b && (a.startsWith(b) || a.endsWith(b))))
}

/**
 * No name of Kubernetes has anything but a-z, 0-9, dot and dash, and no namespace has a dot: another character is always a border,
 * and a dot is one unless the namespace has dots, and other names, on both sides.
 */
function isReadable(parts: readonly TemplatePart[], rule: CompiledRule): boolean {
  const at = parts.findIndex(isNamespace)
  const borders = [parts.slice(0, at).reverse(), parts.slice(at + 1)].map((side) => borderOf(side, rule))
  return !borders.includes("none") && borders.some((border) => border !== "dot")
}

/** What is between the namespace and the next name that can vary; `side` begins at the namespace. */
function borderOf(side: readonly TemplatePart[], rule: CompiledRule): "end" | "sure" | "dot" | "none" {
  const next = side.findIndex((part) => varies(part, rule))
  if (next === -1) return "end"
  const between = side.slice(0, next).map((part) => (part.kind === "literal" ? part.text : ""))
  const text = between.join("")
  if (/[^a-z0-9.-]/.test(text)) return "sure"
  return text.includes(".") ? "dot" : "none"
}

/** Nobody in a cluster chooses its name, and a list of one is no choice either. */
function varies(part: TemplatePart, { spec }: CompiledRule): boolean {
  if (part.kind === "literal" || part.name === "cluster" || part.name === "namespace") return false
  return part.name !== "service_account" || spec.serviceAccounts?.length !== 1
}

function isNamespace(part: TemplatePart): boolean {
  return part.kind === "variable" && part.name === "namespace"
}

const MESSAGE =
  "runs the namespace together with another name, so that callers of two namespaces can be given the same: give {{namespace}} a segment of its own"
