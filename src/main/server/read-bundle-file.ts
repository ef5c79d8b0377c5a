import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { withDeadline } from "../../app/attest/with-deadline.ts"
import type { FederatedDomain } from "../../app/federate/events.ts"
import { IdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import { parseBundle } from "../../core/spiffe/bundle-document.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import { demandUsable } from "../../core/spiffe/usable-bundle.ts"
import type { Clock } from "../../ports/clock.ts"

/** What a bundle file says now. @throws IdentityError `not-ready` when it cannot be read, `malformed` when it is no bundle, or none to be used */
export type ReadBundleFile = (domain: FederatedDomain) => Promise<TrustBundle>

/**
 * Read bundle files, each for 5 s at most: one on a mount that hangs does not hold up the others. It is not begun again before it ends,
 * since each that hangs takes a thread. @param readText of at most {@link MAX_FILE} bytes @see TD-24
 */
export function makeReadBundleFile(
  clock: Clock,
  readText: (file: string) => Promise<string> = readFile,
): ReadBundleFile {
  const reading = new Map<string, Promise<string>>()
  /** What each said last. In a folder in which much is written, files are looked at ten times a second. */
  const last = new Map<TrustDomain, { readonly text: string; readonly bundle: TrustBundle }>()
  const begin = (file: string): Promise<string> => {
    const begun = readText(file).finally(() => reading.delete(file))
    reading.set(file, begun)
    return begun
  }
  return async ({ trustDomain, bundleFile }) => {
    const text = await withDeadline(clock, PATIENCE, NEVER, () => reading.get(bundleFile) ?? begin(bundleFile)).catch(
      unreadable,
    )
    const known = last.get(trustDomain)
    if (known?.text === text) return known.bundle
    const bundle = parseBundle(text, trustDomain)
    demandUsable(bundle)
    if (last.size >= MAX_KNOWN) last.clear()
    last.set(trustDomain, { text, bundle })
    return bundle
  }
}

async function readFile(file: string): Promise<string> {
  // A pipe that nobody writes would be waited for in open().
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  if (!(await handle.stat()).isFile()) throw new IdentityError("not-ready", "bundle file is no regular file")
  const bytes = await readBounded(handle)
  try {
    return UTF8.decode(bytes)
  } catch (cause) {
    throw new IdentityError("malformed", "bundle file is not UTF-8", { cause })
  }
}

/** Whatever size it says that it has. */
async function readBounded(handle: FileHandle): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (let length = 0; ; ) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK)
    length += bytesRead
    if (length > MAX_FILE) throw new IdentityError("malformed", "bundle file is longer than 1 MiB")
    if (bytesRead === 0) return Buffer.concat(parts)
    parts.push(buffer.subarray(0, bytesRead))
  }
}

/** The message names no path: it is shown to operators far away. The cause does. */
function unreadable(cause: unknown): never {
  if (cause instanceof IdentityError) throw cause
  const why = cause instanceof Error && cause.name === "TimeoutError" ? "it hangs" : codeOf(cause)
  throw new IdentityError("not-ready", `bundle file cannot be read: ${why}`, { cause })
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "unknown cause"
}

const UTF8 = new TextDecoder("utf-8", { fatal: true })
const NEVER = new AbortController().signal
const PATIENCE = 5000
const MAX_FILE = 1024 * 1024
const CHUNK = 64 * 1024
/** More trust domains than a configuration has. */
const MAX_KNOWN = 64
