import type { ProjectFile } from "./project-files.ts"

/** One line of a chapter of spec/. */
export interface Rule {
  readonly id: string
  /** `tested` rules need a test; exceptions say why not, todos name an issue. */
  readonly state: "tested" | "exception" | "todo"
  /** Of its chapter. */
  readonly path: string
}

/** The rules of a chapter, in order: `- [ID] …`, `- [ID exception: reason] …` and `- [ID todo #N] …`. */
export function rulesOf({ path, text }: ProjectFile): readonly Rule[] {
  return text.split("\n").flatMap((line) => {
    const [, id, state] = RULE.exec(line) ?? []
    if (id === undefined) return []
    return [{ id, path, state: state === undefined ? "tested" : state.startsWith("todo") ? "todo" : "exception" }]
  })
}

/** Lines that begin as rules do, and are none. */
export function brokenRuleLines({ path, text }: ProjectFile): readonly string[] {
  const lines = text.split("\n").filter((line) => /^[-*] \[[A-Z][A-Z0-9]*-/.test(line) && !RULE.test(line))
  return lines.map((line) => `${path}: ${line}`)
}

/** Ids that a test file cites: in brackets, as titles carry them, and as table cells that a title is made of. */
export function citedIds(text: string): readonly string[] {
  return [...titleIds(text), ...[...text.matchAll(/"([A-Z][A-Z0-9]*-\d+)"/g)].flatMap(([, id]) => id ?? [])]
}

/** Ids in brackets. */
export function titleIds(text: string): readonly string[] {
  return [...text.matchAll(/\[([A-Z][A-Z0-9]*-\d+)\]/g)].flatMap(([, id]) => id ?? [])
}

const RULE = /^[-*] \[([A-Z][A-Z0-9]*-\d+)(?:\] \S| (exception: [^\]]+|todo #\d+)\](?: \S|$))/
