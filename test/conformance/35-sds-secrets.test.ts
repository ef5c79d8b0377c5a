import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import type { IdentityView } from "../../src/app/deliver/identity-source.ts"
import { Secret as Hidden } from "../../src/core/secret.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import { Secret } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts"
import { SPIFFECertValidatorConfig } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.ts"
import { Any } from "../../src/gen/google/protobuf/any.ts"
import { parseNodeFacts } from "../../src/transports/sds/node-facts.ts"
import { makeSecretEncoder, type ValidatorMode } from "../../src/transports/sds/secret-encoder.ts"
import { SPIRE_WORDS } from "../../src/transports/sds/secret-names.ts"
import type { EncodedSecret } from "../../src/transports/sds/secret-set.ts"
import { fakeBundle, fakeSvid, fakeView } from "../support/fake-view.ts"

const CART = "spiffe://prod.example/ns/shop/sa/cart"
const WEB = "spiffe://prod.example/ns/shop/sa/web"

test("[XDS-02][PIT-06] serves the default SVID and any SVID by its ID, each under the name asked for", () => {
  const [cart, web] = [fakeSvid(CART), fakeSvid(WEB)]
  const view = fakeView({ svids: [cart, web] })
  for (const [name, svid] of [
    ["default", cart],
    [CART, cart],
    [WEB, web],
  ] as const) {
    const secret = decoded(find(view, name))
    assert.equal(secret.name, name)
    assert.equal(secret.type?.$case, "tlsCertificate")
    if (secret.type?.$case !== "tlsCertificate") return
    const { certificateChain, privateKey } = secret.type.value
    assert.deepEqual(pemBlocks(certificateChain, "CERTIFICATE"), svid.chain.map(base64))
    assert.deepEqual(pemBlocks(privateKey, "PRIVATE KEY"), [svid.key.expose(base64)])
  }
})

test("[XDS-02][PIT-09] serves the own, one federated or all bundles, as domains of the SPIFFE validator in order", () => {
  const view = federated()
  assert.deepEqual(domains(find(view, "ROOTCA")), ["prod.example"])
  assert.deepEqual(domains(find(view, "spiffe://prod.example")), ["prod.example"])
  assert.deepEqual(domains(find(view, "spiffe://a.example")), ["a.example"])
  assert.deepEqual(domains(find(view, "ALL")), ["a.example", "prod.example"])
})

test("[XDS-02] serves no bundle of a domain with which the caller does not federate", () => {
  assert.equal(find(federated(), "spiffe://b.example"), undefined)
})

test("[XDS-02] takes other words for the three", () => {
  const encode = makeSecretEncoder({ svid: "mine", bundle: "null", allBundles: "ROOTCA" })
  const set = encode(federated(), "spiffe")
  assert.equal(set.find("mine")?.kind, "certificate")
  assert.deepEqual(domains(set.find("null")), ["prod.example"])
  assert.deepEqual(domains(set.find("ROOTCA")), ["a.example", "prod.example"])
  assert.equal(set.find("default"), undefined)
})

test("[PIT-08] has nothing for names that are nobody's", () => {
  for (const name of ["file-root:system", "file-cert:a~b", "kubernetes://x", "*", "", "spiffe://", `${CART}/`]) {
    assert.equal(find(fakeView(), name), undefined, name)
  }
})

test("[PIT-09] reads the choice of a plain context from the node's metadata, as a boolean only", () => {
  const node = (value: unknown) => ({
    id: "e",
    cluster: "",
    userAgentName: "",
    metadata: { disable_spiffe_cert_validation: value },
  })
  assert.equal(parseNodeFacts(node(true), "peer", "spiffe").mode, "plain")
  for (const value of [false, "true", 1, null])
    assert.equal(parseNodeFacts(node(value), "peer", "spiffe").mode, "spiffe")
  assert.equal(parseNodeFacts(undefined, "peer", "plain").mode, "plain")
})

test("[PIT-09] gives a plain context the roots of the one domain, and no validator", () => {
  const secret = decoded(find(federated(), "spiffe://a.example", "plain"))
  if (secret.type?.$case !== "validationContext") throw new Error("not a validation context")
  assert.equal(secret.type.value.customValidatorConfig, undefined)
  assert.deepEqual(pemBlocks(secret.type.value.trustedCa, "CERTIFICATE"), [base64(Buffer.from("root of a.example"))])
})

test("[XDS-03] never merges roots of several domains into a plain context", () => {
  const secret = decoded(find(federated(), "ALL", "plain"))
  if (secret.type?.$case !== "validationContext") throw new Error("not a validation context")
  assert.deepEqual(pemBlocks(secret.type.value.trustedCa, "CERTIFICATE"), [base64(Buffer.from("root of prod.example"))])
})

test("[PIT-07] has no context without a root, and leaves a domain without roots out of ALL", () => {
  const empty = fakeBundle("a.example", { x509Authorities: [] })
  const svids = [fakeSvid(CART, { federatesWith: [parseTrustDomain("a.example")] })]
  const view = fakeView({ svids, federated: [empty] })
  assert.deepEqual(domains(find(view, "ALL")), ["prod.example"])
  for (const mode of ["spiffe", "plain"] as const) {
    assert.equal(find(view, "spiffe://a.example", mode), undefined)
    assert.equal(
      find(fakeView({ own: { ...empty, trustDomain: parseTrustDomain("prod.example") } }), "ROOTCA", mode),
      undefined,
    )
  }
})

test("[SDS-09] gives equal content an equal version, in whatever order the roots are listed", () => {
  const roots = [Buffer.from("one"), Buffer.from("two")]
  const [ab, ba] = [roots, roots.toReversed()].map((x509Authorities, index) =>
    find(fakeView({ own: fakeBundle("prod.example", { x509Authorities }), epoch: index }), "ROOTCA"),
  )
  assert.equal(ab?.version, ba?.version)
  assert.deepEqual(ab?.resource, ba?.resource)
})

test("[SDS-09] gives other content, another name or another mode another version", () => {
  const view = fakeView()
  const versions = [
    find(view, "ROOTCA"),
    find(view, "ROOTCA", "plain"),
    find(view, "spiffe://prod.example"),
    find(fakeView({ own: fakeBundle("prod.example", { x509Authorities: [Buffer.from("new")] }) }), "ROOTCA"),
    find(view, "default"),
    find(fakeView(), "default"),
  ].map((secret) => secret?.version)
  assert.equal(new Set(versions).size, versions.length)
})

test("[XDS-04] does not compute the version from the private key", () => {
  const svid = fakeSvid(CART)
  const other = { ...svid, key: new Hidden(Buffer.from("another key")) }
  const [one, two] = [svid, other].map((each) => find(fakeView({ svids: [each] }), "default"))
  assert.equal(one?.version, two?.version)
  const digest = svid.key.expose((bytes) => createHash("sha256").update(bytes).digest("hex"))
  assert.equal(digest.startsWith(one?.version ?? "-"), false)
})

test("[SDS-15] sends no matchers of its own", () => {
  const secret = decoded(find(federated(), "ROOTCA"))
  if (secret.type?.$case !== "validationContext") throw new Error("not a validation context")
  assert.deepEqual(Object.keys(secret.type.value).toSorted(), ["customValidatorConfig", "trustedCa"])
  assert.equal(secret.type.value.trustedCa, undefined)
})

test("[XDS-09] cuts the name of a proxy to 253 bytes without breaking a character", () => {
  const node = { id: "é".repeat(200), cluster: "", userAgentName: "", metadata: undefined }
  assert.equal(parseNodeFacts(node, "peer", "spiffe").consumer, "é".repeat(126))
  assert.equal(parseNodeFacts({ ...node, id: "" }, "peer", "spiffe").consumer, "peer")
})

/** Federates with a.example; knows b.example too. */
function federated(): IdentityView {
  const svids = [fakeSvid(CART, { federatesWith: [parseTrustDomain("a.example")] })]
  return fakeView({ svids, federated: [fakeBundle("b.example"), fakeBundle("a.example")] })
}

function find(view: IdentityView, name: string, mode: ValidatorMode = "spiffe"): EncodedSecret | undefined {
  return makeSecretEncoder(SPIRE_WORDS)(view, mode).find(name)
}

function decoded(secret: EncodedSecret | undefined): Secret {
  if (secret === undefined) throw new Error("no such secret")
  return Secret.decode(Any.decode(secret.resource).value)
}

function domains(secret: EncodedSecret | undefined): readonly string[] {
  const { type } = decoded(secret)
  if (type?.$case !== "validationContext") throw new Error("not a validation context")
  const config = type.value.customValidatorConfig
  assert.equal(config?.name, "envoy.tls.cert_validator.spiffe")
  return SPIFFECertValidatorConfig.decode(config?.typedConfig?.value ?? Buffer.of()).trustDomains.map(
    ({ name }) => name,
  )
}

function pemBlocks(
  source: { specifier: { $case: string; value: string | Buffer } | undefined } | undefined,
  label: string,
) {
  assert.equal(source?.specifier?.$case, "inlineBytes")
  const blocks = String(source?.specifier?.value).matchAll(
    new RegExp(`-----BEGIN ${label}-----\n([^-]*)-----END ${label}-----\n`, "g"),
  )
  return [...blocks].map(([, body]) => (body ?? "").replaceAll("\n", ""))
}

function base64(der: Uint8Array): string {
  return Buffer.from(der).toString("base64")
}
