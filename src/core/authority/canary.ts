import type { CanarySelection } from "./rotation-state.ts"

/** Whether this caller is among those who get SVIDs of the new authority first. */
export function isCanary(
  { namespaces, prefixes }: CanarySelection,
  caller: { readonly spiffeId: string; readonly namespace: string },
): boolean {
  const { spiffeId, namespace } = caller
  return namespaces.includes(namespace) || prefixes.some((id) => spiffeId === id || spiffeId.startsWith(`${id}/`))
}
