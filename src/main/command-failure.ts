import { CommanderError, InvalidArgumentError } from "commander"
import { type ErrorCode, type IdentityError, toIdentityError } from "../core/errors.ts"

/** A command line that cannot be meant so. Exits 64. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** A question that could not be looked into, for what is in its cause. Exits 66 where that would exit 1. @see CLI-10 */
export class UnansweredError extends Error {
  override readonly name = "UnansweredError"

  constructor(cause: unknown) {
    super("no answer", { cause })
  }
}

export interface FailureForm {
  readonly json: boolean
  readonly verbose: boolean
  /** Of the command that was asked for, as it is written. Default: `assay`. */
  readonly command?: string
}

/** What a command that failed prints, and its exit code. @see CFG-12 CFG-13 CLI-07 CLI-10 */
export function describeFailure(
  thrown: unknown,
  form: FailureForm,
): { readonly text: string; readonly exitCode: number } {
  if (thrown instanceof UnansweredError) {
    const failure = describeFailure(thrown.cause, form)
    return { ...failure, exitCode: failure.exitCode === EXIT_FAILED ? EXIT_NO_INPUT : failure.exitCode }
  }
  // Help and version come as errors, too.
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return { text: "", exitCode: 0 }
  if (thrown instanceof CommanderError) {
    const message = thrown.message.replace(/^error: /, "").replaceAll("\n", " ")
    // Help was printed above instead of what somebody asked for.
    return usage(thrown.code === "commander.help" ? "name one of its commands, which are listed above" : message, form)
  }
  if (thrown instanceof UsageError) return usage(thrown.message, form)
  const error = isFileError(thrown) ? undefined : toIdentityError(thrown)
  const code = error?.reason ?? error?.code ?? "file-unreadable"
  const message = error?.message ?? (thrown instanceof Error ? thrown.message : "file cannot be read")
  const next = (error && nextStepOf(error)) ?? NEXT_STEPS.get(code) ?? (error && NEXT_OF_CODE[error.code])
  return {
    text: line(code, message, next, form) + (form.verbose ? trace(error?.cause ?? thrown) : ""),
    exitCode: exitCodeOf(error),
  }
}

/** A parser of values as one of options: what it refuses cannot be meant so. @see CFG-12 */
export function argument<Value>(parse: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return parse(text)
    } catch (thrown) {
      throw new InvalidArgumentError(toIdentityError(thrown).message)
    }
  }
}

/** Its own, or that of its reason; `undefined`: neither is known. */
export function nextStepOf({ next, reason = "" }: IdentityError): string | undefined {
  return next ?? NEXT_STEPS.get(reason)
}

function usage(message: string, form: FailureForm) {
  return { text: line("usage", message, `${form.command ?? "assay"} --help`, form), exitCode: EXIT_USAGE }
}

function line(code: string, message: string, next: string | undefined, { json }: FailureForm): string {
  if (json) return `${JSON.stringify({ error: { code, message, ...(next === undefined ? {} : { next }) } })}\n`
  return `assay: ${code}: ${message}${next === undefined ? "" : ` (next: ${next})`}\n`
}

function trace(thrown: unknown): string {
  return thrown instanceof Error && thrown.stack !== undefined ? `${thrown.stack}\n` : ""
}

function isFileError(thrown: unknown): boolean {
  return thrown instanceof Error && "syscall" in thrown
}

function exitCodeOf(error: IdentityError | undefined): number {
  return error?.code === "internal" ? EXIT_BUG : EXIT_FAILED
}

const EXIT_FAILED = 1
/** As in sysexits, these three. */
const EXIT_USAGE = 64
const EXIT_NO_INPUT = 66
const EXIT_BUG = 70
/** By reason; {@link NEXT_OF_CODE} for others. */
const NEXT_STEPS: ReadonlyMap<string, string> = new Map([
  ["file-unreadable", "check the path and its permissions"],
  ["invalid-configuration", "fix the keys named above, then run assay validate"],
  ["no-issuer", "set oauth.issuer, by which relying parties know the tokens"],
  ["socket-unreachable", "check that assay agent runs, and that its socket is the one of SPIFFE_ENDPOINT_SOCKET"],
  ["store-unusable", "check storage.sqlite: the path, and that this user may write the file and its folder"],
  [
    "store-version",
    "use the version of assay that wrote it; a version before it needs a backup from before the upgrade",
  ],
  ["store-foreign", "check storage.sqlite: something else than assay made this file"],
  ["store-durability", "keep storage.sqlite on a local file system, which can promise durable writes"],
  ["address-unusable", "find who listens there, or name another address under listen"],
  ["folder-unusable", "check the path, and that this user may write what is above it"],
  ["key-unusable", "check keys.sealing_key_file, and that this user may write its folder"],
  ["key-directory-missing", "check keys.directory; restore it, or run assay init again when it never finished"],
  ["sealing-key-missing", "restore the key; for a new trust domain, run assay init --make-sealing-key"],
  ["ban-not-found", "assay ban list shows what is in force, each by its one name"],
  ["bans-full", "ban a prefix, namespace, node or cluster in place of many, or lift what is over"],
])
const NEXT_OF_CODE: Readonly<Record<ErrorCode, string>> = {
  malformed: "mend what is named, and run it again",
  unauthenticated: "check the credentials: their audience, and that they have not expired",
  "attestation-denied": "compare issuer, audience and binding of the token with the clusters of the configuration",
  "no-identity": "run assay explain with the caller's token",
  "policy-denied": "run assay explain with the caller's token",
  "audience-denied": "run assay policy who-can with the audience",
  "scope-denied": "run assay policy explain with the scopes",
  "grant-expired-or-replayed": "get a new one, and run it again",
  "not-found": "run assay init first, or start with --init",
  "already-exists": "nothing was changed; choose another path, or use what is there",
  conflict: "look at how things stand now, and run it again",
  "rate-limited": "wait a little, and run it again",
  "not-ready": "try again; if it stays, look at the log of the server or agent",
  "attestor-down": "check that the cluster's keys and API server can be reached from here",
  unsupported: "compare the version of assay here with that of the server or agent",
  cancelled: "run it again",
  deadline: "try again; if it stays, look at the log of the server or agent",
  internal: "run again with --verbose, and report what it prints",
}
