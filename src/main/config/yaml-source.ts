import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument } from "yaml"
import { ConfigError, type ConfigProblem } from "./problem.ts"

export type ConfigPath = readonly (string | number)[]

/** A parsed YAML file that knows where each of its values stands. */
export interface YamlSource {
  /** Plain data; an empty file is an empty mapping. */
  readonly data: unknown
  /** The problem with its position: that of the key at `path`, or of its nearest ancestor that is there. */
  problem(path: ConfigPath, message: string): ConfigProblem
}

/** Parse one YAML 1.2 document. Duplicate keys are refused. @throws ConfigError @see CFG-02 CFG-03 */
export function parseYaml(source: string, file: string): YamlSource {
  if (Buffer.byteLength(source) > MAX_BYTES) {
    throw new ConfigError([{ file, line: 1, column: 1, key: "", message: "is larger than 4 MiB" }])
  }
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, logLevel: "error" })
  const at = (offset: number, path: ConfigPath, message: string): ConfigProblem => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(1, line), column: Math.max(1, col), key: renderPath(path), message }
  }
  const broken = [...document.errors, ...document.warnings]
  if (broken.length > 0) throw new ConfigError(broken.map((error) => at(error.pos[0], [], `YAML: ${error.message}`)))
  return {
    data: document.contents === null ? {} : plain(document, (message) => new ConfigError([at(0, [], message)])),
    problem: (path, message) => at(offsetOf(document.contents, path), path, message),
  }
}

/** `clusters[0].keys.jwks_url` */
export function renderPath(path: ConfigPath): string {
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`)).join("")
}

/** Aliases are bounded, so that a short file cannot expand into a long one. */
function plain(document: ReturnType<typeof parseDocument>, refusal: (message: string) => ConfigError): unknown {
  try {
    const data: unknown = document.toJS({ maxAliasCount: MAX_ALIASES })
    return data
  } catch {
    throw refusal("YAML: has too many aliases")
  }
}

function offsetOf(root: unknown, path: ConfigPath): number {
  let node = root
  let offset = startOf(node)
  for (const part of path) {
    const next = childOf(node, part)
    if (next === undefined) break
    offset = next.offset
    node = next.value
  }
  return offset
}

function childOf(node: unknown, part: string | number): { offset: number; value: unknown } | undefined {
  if (isSeq(node) && typeof part === "number") {
    const value: unknown = node.items[part]
    return value === undefined ? undefined : { offset: startOf(value), value }
  }
  if (!isMap(node)) return undefined
  const pair = node.items.find(({ key }) => isScalar(key) && key.value === part)
  return isPair(pair) ? { offset: startOf(pair.key), value: pair.value } : undefined
}

function startOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0
}

const MAX_BYTES = 4 * 1024 * 1024
const MAX_ALIASES = 100
