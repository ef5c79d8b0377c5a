import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory of its own for one test, gone when it is disposed. Its path is short, since Unix sockets may lie in it. */
export interface Scratch extends AsyncDisposable {
  readonly directory: string
  readonly path: (...names: readonly string[]) => string
}

/** @param name tells directories apart that a killed test left behind */
export async function makeScratch(name = "test"): Promise<Scratch> {
  const directory = await mkdtemp(join(tmpdir(), `assay-${name}-`))
  return {
    directory,
    path: (...names) => join(directory, ...names),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}
