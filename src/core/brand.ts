declare const brand: unique symbol

/** A `Base` that only its one parser or constructor can make. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name }
