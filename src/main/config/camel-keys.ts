/** `T` with the names of its members, at any depth, in camelCase and all readonly. */
export type CamelKeys<T> = T extends readonly (infer Item)[]
  ? readonly CamelKeys<Item>[]
  : T extends string | number | boolean | undefined
    ? T
    : { readonly [K in keyof T as Camel<K>]: CamelKeys<T[K]> }

type Camel<K> = K extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail> & string>}` : K

/** Rename the members of plain data and freeze it, at any depth. */
export function camelKeys<T>(value: T): CamelKeys<T> {
  return rename(value) as CamelKeys<T> // rename does to values what CamelKeys does to their type
}

function rename(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(rename))
  if (typeof value !== "object" || value === null) return value
  const renamed = Object.entries(value).map(([key, member]) => [camel(key), rename(member)])
  return Object.freeze(Object.fromEntries(renamed))
}

function camel(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
