import type { ASTNode } from "@marcbachmann/cel-js"
import { IdentityError } from "../../core/errors.ts"

/**
 * Refuse what a condition does not need: regular expressions (a pod's name could make one run for minutes), comprehensions (they
 * multiply), and conversions to untyped values. @throws IdentityError `malformed` @see RUL-06
 */
export function refuseUnbounded(node: ASTNode): void {
  const { name, operands } = partsOf(node)
  if (name !== undefined && !CALLS.has(name)) {
    const message = `CEL at character ${node.range.start + 1}: ${name}() is not offered; offered are ${[...CALLS].join(", ")}`
    throw new IdentityError("malformed", message, { reason: "invalid-condition" })
  }
  for (const operand of operands) refuseUnbounded(operand)
}

/** The function that a node calls, and the nodes below it. */
function partsOf(node: ASTNode): { readonly name?: string; readonly operands: readonly ASTNode[] } {
  if (node.op === "value" || node.op === "id") return { operands: [] }
  if (node.op === "." || node.op === ".?") return { operands: [node.args[0]] }
  if (node.op === "call") return { name: node.args[0], operands: node.args[1] }
  if (node.op === "rcall") return { name: node.args[0], operands: [node.args[1], ...node.args[2]] }
  if (node.op === "map") return { operands: node.args.flat() }
  if (node.op === "!_" || node.op === "-_") return { operands: [node.args] }
  return { operands: node.args }
}

const CALLS: ReadonlySet<string> = new Set([
  "startsWith",
  "endsWith",
  "contains",
  "size",
  "has",
  "lowerAscii",
  "substring",
  "indexOf",
  "lastIndexOf",
  "split",
  "int",
  "string",
])
