import type { SQLInputValue } from "node:sqlite"
import type { AuditEvent } from "../../core/audit/event.ts"
import { type JsonObject, parseJsonObject } from "../../core/json.ts"
import type { JwtAuthority } from "../../core/spiffe/bundle.ts"
import { parseTrustDomain, type TrustDomain } from "../../core/spiffe/id.ts"
import { JWT_KEY_KINDS } from "../../core/spiffe/jwt-key-kind.ts"
import type { FederatedBundles, KeptBundle } from "../../ports/federated-bundles.ts"
import { encodeAudit } from "./audit-row.ts"
import type { CommitQueue } from "./commit-queue.ts"
import { objectOf, objectsIn, oneOf, textIn, textsIn } from "./json-fields.ts"
import { integerOf, optionalIntegerOf, type SqlRow, textOf } from "./sql-row.ts"

export class SqliteFederatedBundles implements FederatedBundles {
  readonly #queue: CommitQueue

  constructor(queue: CommitQueue) {
    this.#queue = queue
  }

  async list(): Promise<readonly KeptBundle[]> {
    const result = await this.#queue.submit({ kind: "read-federated" })
    if (result.kind !== "rows") throw new TypeError("store: federated bundles were not read")
    return result.rows.map(parseKept)
  }

  async keep(kept: KeptBundle, audit: AuditEvent): Promise<void> {
    await this.#queue.submit({ kind: "keep-federated", row: encodeKept(kept), audit: encodeAudit(audit) })
  }

  async forget(trustDomain: TrustDomain, audit: AuditEvent): Promise<void> {
    await this.#queue.submit({ kind: "forget-federated", trustDomain, audit: encodeAudit(audit) })
  }
}

/** In the order of the columns. Certificates are kept as they are: not each has a key that could be written as a JWK. */
function encodeKept({ bundle, acceptedAt, incarnation }: KeptBundle): readonly SQLInputValue[] {
  const { trustDomain, x509Authorities, jwtAuthorities, sequence, refreshHint = null } = bundle
  const authorities = JSON.stringify({ x509: x509Authorities.map(base64), jwt: jwtAuthorities })
  return [trustDomain, incarnation, sequence, refreshHint, authorities, acceptedAt]
}

/** @throws TypeError when the store holds something else: it is damaged, or a later version wrote it */
export function parseKept(row: SqlRow): KeptBundle {
  const authorities = parseJsonObject(textOf(row, "authorities"))
  return {
    bundle: {
      trustDomain: parseTrustDomain(textOf(row, "trust_domain")),
      x509Authorities: textsIn(authorities, "x509").map((text) => new Uint8Array(Buffer.from(text, "base64"))),
      jwtAuthorities: objectsIn(authorities, "jwt").map(parseJwtAuthority),
      sequence: integerOf(row, "sequence"),
      refreshHint: optionalIntegerOf(row, "refresh_hint"),
    },
    acceptedAt: integerOf(row, "accepted_at"),
    incarnation: textOf(row, "incarnation"),
  }
}

function parseJwtAuthority(key: JsonObject): JwtAuthority {
  const jwk = objectOf(key["jwk"], "jwk")
  return {
    kid: textIn(key, "kid"),
    algorithm: oneOf(key, "algorithm", ALGORITHMS),
    jwk: Object.fromEntries(Object.keys(jwk).map((name) => [name, textIn(jwk, name)])),
  }
}

function base64(der: Uint8Array): string {
  return Buffer.from(der).toString("base64")
}

const ALGORITHMS = JWT_KEY_KINDS.map(({ algorithm }) => algorithm)
