import { createHash } from "node:crypto"
import type { HeldSvid, IdentityView } from "../../app/deliver/identity-source.ts"
import type { TrustBundle } from "../../core/spiffe/bundle.ts"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import { nobodyRoot } from "../../core/x509/nobody-root.ts"
import { encodePem } from "../../core/x509/pem.ts"
import { Secret, type Secret as SecretMessage } from "../../gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import { SPIFFECertValidatorConfig } from "../../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts"
import { Any } from "../../gen/google/protobuf/any.ts"
import { decideRequest, type SecretWords } from "./secret-names.ts"
import type { EncodedSecret, SecretKind, SecretSet } from "./secret-set.ts"

/** How a validation context binds roots to peers. `plain`: `trusted_ca`, roots of one trust domain, bound to none. */
export type ValidatorMode = "spiffe" | "plain"

/** The secrets of a view. The same view gives the same set, so that all streams share one encoding. */
export type SecretEncoder = (view: IdentityView, mode: ValidatorMode) => SecretSet

export function makeSecretEncoder(words: SecretWords): SecretEncoder {
  const sets = { spiffe: new WeakMap<IdentityView, SecretSet>(), plain: new WeakMap<IdentityView, SecretSet>() }
  return (view, mode) => {
    const known = sets[mode].get(view)
    if (known !== undefined) return known
    const made = secretSet(view, mode, words)
    sets[mode].set(view, made)
    return made
  }
}

function secretSet(view: IdentityView, mode: ValidatorMode, words: SecretWords): SecretSet {
  const encoded = new Map<string, EncodedSecret>()
  const withdrawn = new Map<string, EncodedSecret>()
  return {
    epoch: view.snapshot.epoch,
    find: (name) => remembered(encoded, name, () => encodeSecret(view, name, mode, words)),
    withdraw: (name) => remembered(withdrawn, name, () => encodeWithdrawal(view, name, mode, words)),
  }
}

function remembered(
  known: Map<string, EncodedSecret>,
  name: string,
  make: () => EncodedSecret | undefined,
): EncodedSecret | undefined {
  const found = known.get(name)
  if (found !== undefined) return found
  const made = make()
  if (made !== undefined && known.size < MAX_REMEMBERED) known.set(name, made)
  return made
}

/**
 * For a trust domain that the view has no roots of. One whose roots are there is only waiting for the identity that federates with it:
 * nobody said that it shall not be trusted.
 */
function encodeWithdrawal(
  { snapshot }: IdentityView,
  name: string,
  mode: ValidatorMode,
  words: SecretWords,
): EncodedSecret | undefined {
  const request = decideRequest(name, words)
  if (request.kind !== "bundle") return undefined
  const { trustDomain } = request
  const known = [snapshot.own, ...snapshot.federated].filter((bundle) => bundle.trustDomain === trustDomain)
  if (known.some(({ x509Authorities }) => x509Authorities.length > 0)) return undefined
  const nobody = {
    trustDomain,
    x509Authorities: [nobodyRoot()],
    jwtAuthorities: [],
    sequence: 0,
    refreshHint: undefined,
  }
  return encodeTrust(name, [nobody], mode)
}

function encodeSecret(
  view: IdentityView,
  name: string,
  mode: ValidatorMode,
  words: SecretWords,
): EncodedSecret | undefined {
  const request = decideRequest(name, words)
  switch (request.kind) {
    case "default-svid":
      return encodeSvid(name, view.svids[0])
    case "svid":
      return encodeSvid(
        name,
        view.svids.find((svid) => svid.spiffeId === request.spiffeId),
      )
    case "own-bundle":
      return encodeTrust(name, [view.snapshot.own], mode)
    case "bundle":
      return encodeTrust(
        name,
        bundlesFor(view).filter((bundle) => bundle.trustDomain === request.trustDomain),
        mode,
      )
    case "all-bundles":
      // Plain roots are bound to no trust domain, so a merged list would let each domain speak for the others. @see TD-09
      return encodeTrust(name, mode === "plain" ? [view.snapshot.own] : bundlesFor(view), mode)
    case "foreign":
      return undefined
  }
}

/** The own bundle and those that an identity of the caller federates with, by trust domain. */
function bundlesFor(view: IdentityView): readonly TrustBundle[] {
  const wanted = new Set<TrustDomain>(view.svids.flatMap((svid) => svid.federatesWith))
  const federated = view.snapshot.federated.filter((bundle) => wanted.has(bundle.trustDomain))
  return [view.snapshot.own, ...federated].toSorted((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1))
}

function encodeSvid(name: string, svid: HeldSvid | undefined): EncodedSecret | undefined {
  if (svid === undefined) return undefined
  const chain = pem("CERTIFICATE", svid.chain)
  const key = svid.key.expose((bytes) => pem("PRIVATE KEY", [bytes]))
  const secret: SecretMessage = {
    name,
    type: {
      $case: "tlsCertificate",
      value: { certificateChain: inline(chain), privateKey: inline(key) },
    },
  }
  // The leaf binds the key, and nothing that is logged should be computed from a private key.
  return encoded(name, "certificate", versionOf(name, chain), secret)
}

/** A context without a root would trust everybody or be refused, so there is none. */
function encodeTrust(name: string, bundles: readonly TrustBundle[], mode: ValidatorMode): EncodedSecret | undefined {
  const usable = bundles.filter((bundle) => bundle.x509Authorities.length > 0)
  const first = usable[0]
  if (first === undefined) return undefined
  const context =
    mode === "plain"
      ? { trustedCa: inline(roots(first)), customValidatorConfig: undefined }
      : { trustedCa: undefined, customValidatorConfig: spiffeValidator(usable) }
  const secret: SecretMessage = { name, type: { $case: "validationContext", value: context } }
  return encoded(name, "trust", versionOf(name, Secret.encode(secret).finish()), secret)
}

function spiffeValidator(bundles: readonly TrustBundle[]) {
  const trustDomains = bundles.map((bundle) => ({ name: bundle.trustDomain, trustBundle: inline(roots(bundle)) }))
  const value = Buffer.from(SPIFFECertValidatorConfig.encode({ trustDomains }).finish())
  return { name: "envoy.tls.cert_validator.spiffe", typedConfig: { typeUrl: VALIDATOR_TYPE, value } }
}

/** Sorted, so that replicas that list the same roots in another order agree on the version. */
function roots(bundle: TrustBundle): Buffer {
  return pem(
    "CERTIFICATE",
    bundle.x509Authorities.toSorted((a, b) => Buffer.compare(a, b)),
  )
}

function encoded(name: string, kind: SecretKind, version: string, secret: SecretMessage): EncodedSecret {
  const value = Buffer.from(Secret.encode(secret).finish())
  return { name, kind, version, resource: Any.encode({ typeUrl: SECRET_TYPE, value }).finish() }
}

function versionOf(name: string, content: Uint8Array): string {
  return createHash("sha256").update(name).update("\0").update(content).digest("hex").slice(0, VERSION_DIGITS)
}

function pem(label: "CERTIFICATE" | "PRIVATE KEY", blocks: readonly Uint8Array[]): Buffer {
  return Buffer.concat(blocks.map((der) => Buffer.from(encodePem(label, der))))
}

function inline(value: Buffer) {
  return { specifier: { $case: "inlineBytes", value } } as const
}

/** The one resource type of this service. */
export const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
const VALIDATOR_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig"
const VERSION_DIGITS = 32
/** A stream asks for 256 at most. */
const MAX_REMEMBERED = 4096
