import type { TokenBinding, TokenGrantType, TokenProduct } from "../policy/token-question.ts"
import type { TokenMode } from "./token-rule.ts"

/** Questions by what is asked for and how: every combination of these. */
export interface QuestionKinds {
  readonly products: readonly TokenProduct[]
  readonly grants: readonly TokenGrantType[]
  readonly bindings: readonly TokenBinding[]
}

export interface QuestionKind {
  readonly product: TokenProduct
  readonly grant: TokenGrantType
  readonly binding: TokenBinding
}

export const TOKEN_PRODUCTS = ["access-token", "jwt-svid", "x509-svid"] as const satisfies readonly TokenProduct[]
export const TOKEN_GRANTS = [
  "client_credentials",
  "token-exchange",
  "jwt-bearer",
] as const satisfies readonly TokenGrantType[]
export const TOKEN_BINDINGS = ["none", "dpop", "mtls"] as const satisfies readonly TokenBinding[]

export const TOKEN_MODES = ["self", "impersonation", "delegation"] as const satisfies readonly TokenMode[]

/** Every kind there is. */
export const TOKEN_KINDS: readonly QuestionKind[] = TOKEN_PRODUCTS.flatMap((product) =>
  TOKEN_GRANTS.flatMap((grant) => TOKEN_BINDINGS.map((binding) => ({ product, grant, binding }))),
)

/** Kinds as few combinations: no kind is in two, and none is in one that was not there. */
export function joinKinds(kinds: readonly QuestionKind[]): readonly QuestionKinds[] {
  const byProductAndGrant = grouped(kinds, ({ product, grant }) => `${product} ${grant}`).map((same) => ({
    ...same[0],
    bindings: same.map(({ binding }) => binding),
  }))
  const byProduct = grouped(byProductAndGrant, ({ product, bindings }) => `${product} ${bindings.join()}`).map(
    (same) => ({
      ...same[0],
      grants: same.map(({ grant }) => grant),
    }),
  )
  return grouped(byProduct, ({ grants, bindings }) => `${grants.join()} ${bindings.join()}`).map((same) => {
    const { grants, bindings } = same[0]
    return { products: same.map(({ product }) => product), grants, bindings }
  })
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly [T, ...T[]])[] {
  const groups = new Map<string, [T, ...T[]]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return [...groups.values()]
}
