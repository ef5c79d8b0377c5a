import { equal } from "node:assert/strict"
import { createHmac, createPublicKey, generateKeyPairSync, sign } from "node:crypto"
import { test } from "node:test"
import { makeAttestFixture, NEVER, refusalOf } from "../support/attest-fixture.ts"

/** Each builds a bad token from a good one; every one of them must be refused, at the door named. */
interface Good {
  readonly token: string
  readonly header: Readonly<Record<string, unknown>>
  readonly headerPart: string
  readonly payload: string
  readonly signature: string
  readonly jwk: { readonly kty: string; readonly crv: string; readonly x: string; readonly y: string }
}

function refuses(
  title: string,
  reason: "token-malformed" | "signature-invalid" | "legacy-token",
  forge: (good: Good) => string,
): void {
  test(title, async () => {
    const { attest, cluster, token } = makeAttestFixture()
    const text = token()
    const [headerPart = "", payload = "", signature = ""] = text.split(".")
    const header = JSON.parse(Buffer.from(headerPart, "base64url").toString())
    const jwk = JSON.parse(cluster.jwks()).keys[0]
    const bad = forge({ token: text, header, headerPart, payload, signature, jwk })
    equal(await refusalOf(attest(bad, NEVER)), `${reason} unauthenticated`)
    await attest(text, NEVER)
  })
}

const b64 = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")
const withHeader = (change: Readonly<Record<string, unknown>>) => (good: Good) =>
  `${b64({ ...good.header, ...change })}.${good.payload}.${good.signature}`

for (const alg of ["none", "None", "nOnE", "", null, undefined, 1, ["ES256"], "ES256K", "EdDSA", "HS256", "es256"]) {
  refuses(`[JOS-01] refuses alg ${JSON.stringify(alg)}`, "token-malformed", withHeader({ alg }))
}
refuses(
  "[JOS-01] refuses alg none with an empty signature",
  "token-malformed",
  (good) => `${b64({ alg: "none" })}.${good.payload}.`,
)
for (const alg of ["RS256", "PS256"]) {
  refuses(`[JOS-01] refuses ${alg}, which the EC key of this kid is not for`, "signature-invalid", withHeader({ alg }))
}

for (const secretOf of ["pem", "der", "jwk"] as const) {
  refuses(`[JOS-02] refuses HS256 with the public key as ${secretOf}`, "token-malformed", (good) => {
    const key = createPublicKey({ key: good.jwk, format: "jwk" })
    const secret =
      secretOf === "jwk"
        ? Buffer.from(good.jwk.x, "base64url")
        : Buffer.from(key.export({ type: "spki", format: secretOf }))
    const input = `${b64({ ...good.header, alg: "HS256" })}.${good.payload}`
    return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`
  })
}

const N = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
const ZERO = "00".repeat(32)
const withSignature = (bytes: Uint8Array) => (good: Good) =>
  `${good.headerPart}.${good.payload}.${Buffer.from(bytes).toString("base64url")}`
for (const [name, hex] of [
  ["r=s=0", ZERO + ZERO],
  ["r=0", ZERO + N],
  ["s=0", N + ZERO],
  ["r=s=n", N + N],
] as const) {
  refuses(`[JOS-03] refuses ${name}`, "signature-invalid", withSignature(Buffer.from(hex, "hex")))
}
refuses("[JOS-03] refuses a signature in DER", "token-malformed", (good) => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  return withSignature(sign("sha256", Buffer.from(good.headerPart), privateKey))(good)
})
for (const length of [0, 1, 63, 65, 128, 5000]) {
  refuses(`[JOS-03] refuses a signature of ${length} bytes`, "token-malformed", withSignature(new Uint8Array(length)))
}

for (const member of ["jwk", "jku", "x5u", "x5c", "x5t"]) {
  refuses(
    `[JOS-04] refuses ${member} in the header`,
    "token-malformed",
    withHeader({ [member]: "https://evil.test/keys" }),
  )
}
refuses("[JOS-04] refuses a token signed by the key it brings along", "token-malformed", (good) => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const input = `${b64({ ...good.header, jwk: publicKey.export({ format: "jwk" }) })}.${good.payload}`
  return `${input}.${sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`
})

for (const kid of [
  "../../etc/passwd",
  "' OR 1=1 --",
  "https://evil.test/",
  "__proto__",
  "constructor",
  "k".repeat(256),
]) {
  refuses(`[JOS-05] refuses kid ${kid.slice(0, 20)} as unknown`, "signature-invalid", withHeader({ kid }))
}
for (const kid of ["", 1, null, {}, ["a"], "k".repeat(257)]) {
  refuses(
    `[JOS-05] refuses kid ${JSON.stringify(kid).slice(0, 20)} by its form`,
    "token-malformed",
    withHeader({ kid }),
  )
}
refuses("[JOS-05] refuses a kid of 10 MB", "token-malformed", withHeader({ kid: "k".repeat(10_000_000) }))

for (const crit of [["exp"], [], "exp", null, ["b64"]]) {
  refuses(`[JOS-06] refuses crit ${JSON.stringify(crit)}`, "token-malformed", withHeader({ crit }))
}
refuses("[JOS-06] refuses b64 false", "token-malformed", withHeader({ b64: false, crit: ["b64"] }))

refuses(
  "[JOS-07] refuses a member twice in the header",
  "token-malformed",
  (good) =>
    `${b64(`{"alg":"none","alg":"ES256","kid":${JSON.stringify(good.header["kid"])}}`)}.${good.payload}.${good.signature}`,
)
refuses("[JOS-07] refuses a member twice in the claims", "token-malformed", (good) => {
  const claims = Buffer.from(good.payload, "base64url").toString().replace("{", '{"iss":"x",')
  return `${good.headerPart}.${b64(claims)}.${good.signature}`
})
for (const [name, change] of [
  ["padding", (part: string) => `${part}=`],
  ["a space before", (part: string) => ` ${part}`],
  ["a line feed after", (part: string) => `${part}\n`],
  ["another alphabet", (part: string) => `${part.slice(0, -1)}+`],
  ["a stray character", (part: string) => `${part.slice(0, 4)}!${part.slice(4)}`],
] as const) {
  refuses(
    `[JOS-07] refuses ${name} in the header`,
    "token-malformed",
    (good) => `${change(good.headerPart)}.${good.payload}.${good.signature}`,
  )
  refuses(
    `[JOS-07] refuses ${name} in the claims`,
    "token-malformed",
    (good) => `${good.headerPart}.${change(good.payload)}.${good.signature}`,
  )
  refuses(
    `[JOS-07] refuses ${name} in the signature`,
    "token-malformed",
    (good) => `${good.headerPart}.${good.payload}.${change(good.signature)}`,
  )
}
refuses("[JOS-07] refuses stray bits at the end of a part", "token-malformed", (good) => {
  // 64 bytes leave 4 unused bits in the last character.
  const last = good.signature.at(-1) ?? ""
  return `${good.headerPart}.${good.payload}.${good.signature.slice(0, -1)}${{ A: "B", Q: "R", g: "h", w: "x" }[last]}`
})
refuses("[JOS-07] refuses claims that are not UTF-8", "token-malformed", (good) => {
  // Within a text, where a lenient decoder would put something else and go on.
  const [front = "", ...rest] = Buffer.from(good.payload, "base64url").toString().split(',"')
  const claims = Buffer.concat([Buffer.from(`${front},"x":"`), Buffer.of(0xff), Buffer.from(`","${rest.join(',"')}`)])
  return `${good.headerPart}.${claims.toString("base64url")}.${good.signature}`
})

refuses("[JOS-08] refuses a JWE of five parts", "token-malformed", (good) => `${good.token}.AAAA.AAAA`)
refuses(
  "[JOS-08] refuses a header of a JWE with p2c",
  "token-malformed",
  withHeader({ alg: "PBES2-HS256+A128KW", enc: "A128GCM", p2c: 1e9 }),
)
refuses("[JOS-08] refuses zip", "token-malformed", withHeader({ zip: "DEF" }))
refuses("[JOS-08] refuses a million dots", "token-malformed", () => ".".repeat(1_000_000))
refuses("[JOS-08] refuses 16,384 dots", "token-malformed", () => ".".repeat(16_384))
for (const text of ["", ".", "..", "...", "a.b", "a.b.c"])
  refuses(`[JOS-08] refuses ${JSON.stringify(text)}`, "token-malformed", () => text)

for (const typ of ["at+jwt", "wit+jwt", "dpop+jwt", "JOSE", "jwt", "", 1]) {
  refuses(`[JOS-12] refuses typ ${JSON.stringify(typ)}`, "token-malformed", withHeader({ typ }))
}
refuses("[JOS-12] typ JWT is let through to the signature", "signature-invalid", withHeader({ typ: "JWT" }))
refuses("[JOS-03] refuses claims that were changed after signing", "signature-invalid", (good) => {
  const claims = { ...JSON.parse(Buffer.from(good.payload, "base64url").toString()), jti: "other" }
  return `${good.headerPart}.${b64(claims)}.${good.signature}`
})
