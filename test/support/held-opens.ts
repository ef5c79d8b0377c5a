import type { KeyStore } from "../../src/ports/keys.ts"

/** What makes the keys of a store wait, or fail, when they are opened. */
export interface HeldOpens {
  /** From now on, until {@link release}. */
  hold(): void
  release(): void
  /** Called before each is opened; may throw. */
  onOpen: () => void
  /** How many were asked for, held or not. */
  readonly count: number
}

/** Stand in front of `keys`, in place. */
export function holdOpens(keys: KeyStore): HeldOpens {
  const open = keys.open.bind(keys)
  let gate: PromiseWithResolvers<void> | undefined
  let count = 0
  const held: HeldOpens = {
    hold: () => {
      gate = Promise.withResolvers()
    },
    release: () => gate?.resolve(),
    onOpen: () => undefined,
    get count() {
      return count
    },
  }
  Object.assign(keys, {
    open: async (keyId: string) => {
      count++
      await gate?.promise
      held.onOpen()
      return open(keyId)
    },
  })
  return held
}
