import type { SecretKind, SecretSet } from "../../src/transports/sds/secret-set.ts"

/** A set of secrets that are `[kind, version]` by name; `withdrawn` are bundles that are no more. */
export function fakeSecrets(
  epoch: number,
  secrets: Readonly<Record<string, readonly [kind: SecretKind, version: string]>>,
  withdrawn: readonly string[] = [],
): SecretSet {
  return {
    epoch,
    withdraw: (name) =>
      withdrawn.includes(name)
        ? { name, kind: "trust", version: "nobody", resource: Buffer.from(`${name} nobody`) }
        : undefined,
    find(name) {
      const found = secrets[name]
      if (found === undefined) return undefined
      const [kind, version] = found
      return { name, kind, version, resource: Buffer.from(`${name} ${version}`) }
    },
  }
}

/** The error detail of a NACK. */
export function nack(message: string) {
  return { code: 3, message, details: [] }
}
