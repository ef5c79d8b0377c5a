import { readAuthority } from "../../adapters/sqlite/read-authority.ts"
import { ownBundle } from "../../app/authority/trust-state.ts"
import { IdentityError } from "../../core/errors.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { ServerConfig } from "../config/server-config.ts"

/** The trust domain's own bundle as the store has it, also while a server writes it. @throws IdentityError `not-found`, `not-ready` */
export function storedBundle({ storage }: ServerConfig): TrustBundle {
  const record = readAuthority(storage.sqlite)
  if (record === undefined)
    throw new IdentityError("not-found", `the store "${storage.sqlite}" has no trust domain yet`)
  return ownBundle(record)
}
