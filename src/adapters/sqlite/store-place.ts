import { statSync } from "node:fs"
import { resolve } from "node:path"
import { IdentityError } from "../../core/errors.ts"

/**
 * Where the files of a store are. SQLite goes on writing to files that were taken away or replaced, and what it wrote there is gone
 * with the process. @see STO-40
 */
export class StorePlace {
  readonly #paths: readonly string[]
  readonly #known: (string | undefined)[]

  /** @param path of a database that is open */
  constructor(path: string) {
    const file = resolve(path)
    this.#paths = [file, `${file}-wal`]
    this.#known = this.#paths.map(identityOf)
  }

  /** To be asked after each commit. @throws IdentityError `not-ready` when its files are not those of before: nothing was kept */
  demand(): void {
    for (const [index, path] of this.#paths.entries()) {
      const now = identityOf(path)
      // The log is made with the first write, and then there is nothing to compare.
      this.#known[index] ??= now
      if (now !== undefined && now === this.#known[index]) continue
      throw new IdentityError("not-ready", `a file of the store was taken away or replaced while it was open: ${path}`)
    }
  }
}

/** Of the file, whatever its name is; `undefined` when there is none. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}
