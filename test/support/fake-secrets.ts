import type { SecretKind, SecretSet } from "../../src/transports/sds/secret-set.ts"

/** A set of secrets that are `[kind, version]` by name. */
export function fakeSecrets(
  epoch: number,
  secrets: Readonly<Record<string, readonly [kind: SecretKind, version: string]>>,
): SecretSet {
  return {
    epoch,
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
