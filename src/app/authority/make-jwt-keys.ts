import type { JwtKeyAlgorithm } from "../../core/authority/jwt-keys.ts"
import { publicJwk, thumbprint } from "../../core/jose/jwk.ts"
import type { AuditLog } from "../../ports/audit-log.ts"
import type { JwtKeyRecord } from "../../ports/authority-journal.ts"
import type { Clock } from "../../ports/clock.ts"
import type { KeyAlgorithm, KeyStore } from "../../ports/keys.ts"
import { createOrOpen } from "./create-or-open.ts"

export interface MakeJwtKeysDeps {
  readonly keys: KeyStore
  readonly audit: AuditLog
  readonly clock: Pick<Clock, "now">
}

/**
 * One key for each algorithm, each audited when it is made. After a crash in between, those that were made are used.
 * @param stem what the names of all of them in the key store begin with @see JWKS-07
 */
export async function makeJwtKeys(
  { keys, audit, clock }: MakeJwtKeysDeps,
  stem: string,
  algorithms: readonly JwtKeyAlgorithm[],
  requestId: string,
): Promise<readonly JwtKeyRecord[]> {
  const made: JwtKeyRecord[] = []
  for (const algorithm of algorithms) {
    const keyId = jwtKeyId(stem, algorithm)
    const signer = await createOrOpen(keys, keyId, KEY_ALGORITHM[algorithm])
    signer.forget() // opened again when it is its turn to sign
    const jwk = publicJwk(signer.publicKey)
    const kid = thumbprint(jwk)
    const at = clock.now()
    await audit.append({ type: "jwt-key.created", at, actor: "server", requestId, authority: kid, algorithm })
    made.push({ keyId, kid, algorithm, jwk, state: "prepared", since: at })
  }
  return made
}

/** Every name that {@link makeJwtKeys} may have given to a key, whatever the algorithms were. */
export function jwtKeyIds(stem: string): readonly string[] {
  return ALGORITHMS.map((algorithm) => jwtKeyId(stem, algorithm))
}

function jwtKeyId(stem: string, algorithm: JwtKeyAlgorithm): string {
  return `${stem}-${algorithm.toLowerCase()}`
}

const ALGORITHMS: readonly JwtKeyAlgorithm[] = ["ES256", "RS256"]
const KEY_ALGORITHM = { ES256: "ec-p256", RS256: "rsa-2048" } as const satisfies Record<JwtKeyAlgorithm, KeyAlgorithm>
