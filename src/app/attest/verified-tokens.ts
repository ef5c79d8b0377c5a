import type { VerificationKey } from "../../ports/jws.ts"

/**
 * What tokens say whose signature is good, so that one that comes again and again is not read again. It counts only beside the very
 * list of keys that the signature was verified with, and says nothing of dates, audience and revocation. Neither the token nor its
 * signature is kept; at most {@link MAX_TOKENS} are known, of which the one that is known longest is forgotten first. @see SCA-11
 */
export class VerifiedTokens<Said> {
  readonly #known = new Map<string, { readonly said: Said; readonly keys: readonly VerificationKey[] }>()

  /** @param keysFor those that a token which says this is verified with now */
  find(digest: string, keysFor: (said: Said) => readonly VerificationKey[] | undefined): Said | undefined {
    const known = this.#known.get(digest)
    return known !== undefined && known.keys === keysFor(known.said) ? known.said : undefined
  }

  /** @param keys by one of which the token was verified */
  keep(digest: string, said: Said, keys: readonly VerificationKey[]): void {
    this.#known.set(digest, { said, keys })
    if (this.#known.size <= MAX_TOKENS) return
    const oldest = this.#known.keys().next()
    if (!oldest.done) this.#known.delete(oldest.value)
  }
}

/** Somewhat more than 1 KB each. */
const MAX_TOKENS = 4096
