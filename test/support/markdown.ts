/** A fenced block of a document. */
export interface Fence {
  /** What stands after the backticks; empty for none. */
  readonly language: string
  readonly text: string
  /** Of its first line, from 1. */
  readonly line: number
}

/** The fenced blocks, in order. */
export function fences(markdown: string): readonly Fence[] {
  return [...markdown.matchAll(/^```(\S*)\n([\s\S]*?)^```$/gm)].map(({ 1: language = "", 2: text = "", index }) => ({
    language,
    text,
    line: markdown.slice(0, index).split("\n").length + 1,
  }))
}

/** What stands between single backticks outside of fenced blocks. */
export function codeSpans(markdown: string): readonly string[] {
  return [...withoutFences(markdown).matchAll(/`([^`\n]+)`/g)].flatMap(([, text]) => text ?? [])
}

/** Targets of links that name no scheme: relative paths, with their fragment. */
export function relativeLinks(markdown: string): readonly string[] {
  return [...withoutFences(markdown).matchAll(/\]\(([^)\s]+)\)/g)]
    .flatMap(([, target]) => target ?? [])
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
}

/** The fragments that links can name: headings in lower case, spaces as hyphens, punctuation dropped. */
export function headingFragments(markdown: string): ReadonlySet<string> {
  const headings = [...withoutFences(markdown).matchAll(/^#+ (.+)$/gm)].flatMap(([, title]) => title ?? [])
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  )
}

function withoutFences(markdown: string): string {
  return markdown.replace(/^```\S*\n[\s\S]*?^```$/gm, "")
}
