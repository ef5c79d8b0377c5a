import { X509Certificate } from "node:crypto"
import type { Json } from "../../core/json.ts"
import { trustDomainId, trustDomainOf } from "../../core/spiffe/id.ts"
import { encodePem } from "../../core/x509/pem.ts"
import type { HeldJwt, ValidJwt, X509Material } from "../../ports/workload-api.ts"
import { columns } from "./columns.ts"

/** One answer in both forms. Private keys are in neither: `--write` and `assay write` are for those. */
export interface Output {
  readonly json: Json
  readonly table: string
}

export function x509Output({ svids, federated }: X509Material): Output {
  const rows = svids.map((svid) => {
    const leaf = new X509Certificate(svid.chain[0] ?? new Uint8Array())
    const notAfter = leaf.validToDate.toISOString()
    return { spiffeId: svid.spiffeId, hint: svid.hint, notAfter, serial: leaf.serialNumber, chain: pems(svid.chain) }
  })
  const lines = rows.map((row) => [row.spiffeId, row.hint, row.notAfter, row.serial])
  return {
    json: { svids: rows, federated: [...federated.keys()] },
    table: columns([["SPIFFE ID", "HINT", "NOT AFTER", "SERIAL"], ...lines]).join("\n"),
  }
}

export function jwtOutput(jwts: readonly HeldJwt[]): Output {
  return {
    json: { svids: jwts.map(({ spiffeId, hint, token }) => ({ spiffeId, hint, token })) },
    table: jwts.map(({ spiffeId, token }) => `${spiffeId}\n${token}`).join("\n\n"),
  }
}

export function bundlesOutput(x509: X509Material, jwt: ReadonlyMap<string, string>): Output {
  const [svid] = x509.svids
  const own = svid === undefined ? [] : [[trustDomainId(trustDomainOf(svid.spiffeId)), svid.bundle] as const]
  const bundles = new Map([...own, ...x509.federated])
  const rows = [...bundles].map(([id, certificates]) => ({
    trustDomain: id,
    x509Authorities: pems(certificates),
    jwtAuthorities: jwt.get(id) ?? null,
  }))
  const lines = rows.map((row) => [row.trustDomain, `${row.x509Authorities.length}`, row.jwtAuthorities ?? "-"])
  return { json: { bundles: rows }, table: columns([["TRUST DOMAIN", "X.509 ROOTS", "JWT KEYS"], ...lines]).join("\n") }
}

export function validOutput({ spiffeId, claims }: ValidJwt): Output {
  return { json: { spiffeId, claims }, table: `valid: ${spiffeId}\n${JSON.stringify(claims, null, 2)}` }
}

function pems(certificates: readonly Uint8Array[]): readonly string[] {
  return certificates.map((der) => encodePem("CERTIFICATE", der))
}
