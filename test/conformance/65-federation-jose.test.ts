import assert from "node:assert/strict"
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { test } from "node:test"
import { parseJwtAuthorities } from "../../src/adapters/identity-client/jwt-authorities.ts"
import { makeJwsVerifier } from "../../src/adapters/jose/verify-jws.ts"
import { parseJwksDocument } from "../../src/adapters/kube/jwks-document.ts"
import { toIdentityError } from "../../src/core/errors.ts"
import { JWS_ALGORITHMS } from "../../src/core/jose/algorithm.ts"
import { parseCompactJws } from "../../src/core/jose/compact.ts"
import { parseBundle, parseJwtBundle } from "../../src/core/spiffe/bundle-document.ts"
import { parseTrustDomain } from "../../src/core/spiffe/id.ts"
import type { VerificationKey } from "../../src/ports/jws.ts"
import { makeJwtKey } from "../support/jwt-key.ts"

/** Key sets that somebody hands us: whichever door they come by, none makes us accept a token that a weak, foreign or ambiguous key signed. */
const IMPORTERS: Readonly<Record<string, (text: string) => readonly VerificationKey[]>> = {
  "a federated bundle": (text) => parseBundle(text, parseTrustDomain("other.example")).jwtAuthorities,
  "JWT bundles of the Workload API": parseJwtBundle,
  "a JWK set of a cluster, client or issuer": parseJwksDocument,
}

for (const [name, read] of Object.entries({ ...IMPORTERS, "JWT bundles of our server": readWire })) {
  test(`[JW-02] ${name}: keys on each curve verify tokens`, async () => {
    for (const algorithm of ["ES256", "ES384", "ES512"] as const) {
      const key = makeJwtKey(algorithm)
      const { jwk, kid } = key.authority
      const use = name.startsWith("a JWK set") ? "sig" : "jwt-svid"
      const keys = read(JSON.stringify({ keys: [{ ...jwk, kid, use }] }))
      await makeJwsVerifier().verify(parseCompactJws(key.token({}), { algorithms: JWS_ALGORITHMS, types: [] }), keys)
    }
  })
}

function readWire(text: string): readonly VerificationKey[] {
  return parseJwtAuthorities(Buffer.from(text))
}

type Jwk = Readonly<Record<string, unknown>>

interface KeyAttack {
  readonly id: string
  readonly what: string
  /** The text of the document; `use` is what the importer expects. */
  readonly text: (use: string) => string
  readonly token: string
}

const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" })
const other = generateKeyPairSync("ec", { namedCurve: "P-256" })
const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync("rsa", { modulusLength, publicExponent })
const [weak, three] = [rsa(1024), rsa(2048, 3)]
const jwkOf = (key: KeyObject): Jwk => ({ ...key.export({ format: "jwk" }) })
const good = { ...jwkOf(p256.publicKey), kid: "k", alg: "ES256" }
const set = (...keys: readonly Jwk[]) => {
  return (use: string) => JSON.stringify({ keys: keys.map((key) => ({ use, ...key })) })
}
const signedBy = (key: KeyObject, alg: string, kid: unknown = "k") => {
  const input = inputOf({ alg, kid })
  const options = { key, dsaEncoding: "ieee-p1363" } as const
  return `${input}.${sign("sha256", Buffer.from(input), options).toString("base64url")}`
}
const es256 = signedBy(p256.privateKey, "ES256")
const hmac = `${inputOf({ alg: "HS256", kid: "k" })}.${createHmac("sha256", "secret").update("x").digest("base64url")}`

const ATTACKS: readonly KeyAttack[] = [
  {
    id: "JOS-05",
    what: "two keys under one kid",
    text: set(good, { ...jwkOf(other.publicKey), kid: "k" }),
    token: es256,
  },
  ...["", 1, null, ["k"], {}].map((kid) => ({
    id: "JOS-05",
    what: `a kid that is ${JSON.stringify(kid)}`,
    text: set({ ...good, kid }),
    token: es256,
  })),
  {
    id: "JOS-02",
    what: "a symmetric key",
    text: set({ kty: "oct", k: "c2VjcmV0", kid: "k", alg: "HS256" }),
    token: hmac,
  },
  {
    id: "JOS-01",
    what: "a key of 1024 bits",
    text: set({ ...jwkOf(weak.publicKey), kid: "k" }),
    token: signedBy(weak.privateKey, "RS256"),
  },
  {
    id: "JOS-01",
    what: "the exponent 3",
    text: set({ ...jwkOf(three.publicKey), kid: "k" }),
    token: signedBy(three.privateKey, "RS256"),
  },
  {
    id: "JOS-01",
    what: "another curve than the key's",
    text: set({ ...good, crv: "P-384", alg: "ES384" }),
    token: es256,
  },
  { id: "JOS-03", what: "a point off the curve", text: set({ ...good, y: jwkOf(p256.publicKey)["x"] }), token: es256 },
  { id: "JOS-12", what: "a key for encryption", text: set({ ...good, use: "enc" }), token: es256 },
  { id: "JOS-07", what: "keys twice", text: (use) => set(good)(use).replace("{", '{"keys":[],'), token: es256 },
  {
    id: "JOS-07",
    what: "a member of a key twice",
    text: (use) => set(good)(use).replace('"kty"', '"kty":"EC","kty"'),
    token: es256,
  },
  { id: "JOS-13", what: "the key of somebody else", text: set({ ...jwkOf(other.publicKey), kid: "k" }), token: es256 },
]

for (const [name, read] of Object.entries(IMPORTERS)) {
  const use = read === parseJwksDocument ? "sig" : "jwt-svid"
  const accept = async (text: string, token: string) => {
    const keys = read(text)
    await makeJwsVerifier().verify(parseCompactJws(token, { algorithms: JWS_ALGORITHMS, types: ["JWT"] }), keys)
    return keys
  }

  test(`[JOS-05] ${name}: a good key verifies, and nothing private of it is kept`, async () => {
    const [key] = await accept(set({ ...good, ...jwkOf(p256.privateKey) })(use), es256)
    assert.deepEqual(Object.keys(key?.jwk ?? {}).sort(), ["crv", "kty", "x", "y"])
    await accept(set({ ...good, kid: "__proto__" })(use), signedBy(p256.privateKey, "ES256", "__proto__"))
  })

  for (const { id, what, text, token } of ATTACKS) {
    test(`[${id}] ${name}: refuses ${what}`, async () => {
      await assert.rejects(accept(text(use), token), (thrown) =>
        ["malformed", "unauthenticated"].includes(toIdentityError(thrown).code),
      )
    })
  }
}

function inputOf(header: object): string {
  return [header, { sub: "x" }].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")
}
