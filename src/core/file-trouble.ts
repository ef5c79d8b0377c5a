import { IdentityError, toIdentityError } from "./errors.ts"

/**
 * A file that cannot be read, told so that somebody can mend it. @param named what it is to be, with its path, as in `token file /run/token`
 * @param cause what the system said @returns `not-ready`, reason `file-unreadable` @see CFG-34
 */
export function fileTrouble(named: string, cause: unknown): IdentityError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  const { what, next } = KNOWN.get(code) ?? UNKNOWN
  const said = code === "" ? "" : ` (${code})`
  return new IdentityError("not-ready", `${named} cannot be read${said}${what}`, {
    reason: "file-unreadable",
    cause,
    next,
  })
}

/**
 * What `parse` makes of the content of a file, which its error names. @param next what to name in its place
 * @throws IdentityError with the code of what `parse` throws @see CFG-34
 */
export function parseContent<Parsed>(named: string, next: string, parse: () => Parsed): Parsed {
  try {
    return parse()
  } catch (cause) {
    const { code, message } = toIdentityError(cause)
    throw new IdentityError(code, `${named}: ${message}`, { cause, next })
  }
}

const UNKNOWN = { what: "", next: "check the path and its permissions" }
const FORBIDDEN = { what: ": this user may not read it", next: "run it as a user who may read it, or let this one" }
const KNOWN: ReadonlyMap<string, { readonly what: string; readonly next: string }> = new Map([
  [
    "ENOENT",
    { what: ": there is no such file", next: "check the path; a relative one begins at the working directory" },
  ],
  ["ENOTDIR", { what: ": a part of its path is no folder", next: "check the path" }],
  ["EISDIR", { what: ": it is a folder", next: "name the file that is meant, not its folder" }],
  ["EACCES", FORBIDDEN],
  ["EPERM", FORBIDDEN],
])
