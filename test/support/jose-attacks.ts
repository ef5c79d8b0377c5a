import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import type { JwtKey } from "./jwt-key.ts"

/** A token that nobody may accept, made of one that is good. */
export interface JoseAttack {
  /** Of the list of attacks. */
  readonly id: string
  readonly name: string
  readonly token: string
}

export interface GoodToken {
  /** ES256; its public half is what the verifier trusts. */
  readonly key: JwtKey
  readonly header: Readonly<Record<string, unknown>>
  /** `iat` and `exp` in seconds, and `aud` a text. */
  readonly claims: Readonly<Record<string, unknown>> & { readonly aud: string; readonly exp: number }
  /** Values of `typ` that other kinds of token have. */
  readonly otherTypes: readonly string[]
  readonly now: number
  /** `aud` may hold nobody else; or it may be anybody. Default: one of it is the verifier. */
  readonly audience?: "sole" | "any"
  /** `sub` may be any text. */
  readonly anySubject?: boolean
  /** `iss` is compared. Default: if there is one. */
  readonly anyIssuer?: boolean
  /** Keys of other authorities, which the verifier may trust for other things. */
  readonly strangers?: readonly JwtKey[]
}

/**
 * JOS-01 to JOS-13: every token is refused by a verifier that accepts `key.token(claims, header)` for the audience
 * `claims.aud` at `now`.
 */
export function joseAttacks(good: GoodToken): readonly JoseAttack[] {
  const token = good.key.token(good.claims, good.header)
  const [head = "", payload = "", signature = ""] = token.split(".")
  const attack =
    (id: string): Attack =>
    (name, forged) => ({
      id,
      name,
      get token() {
        return typeof forged === "string" ? forged : forged()
      },
    })
  return [
    ...algorithms(good, payload, signature, attack("JOS-01")),
    ...symmetric(good, payload, attack("JOS-02")),
    ...signatures(head, payload, token, attack("JOS-03")),
    ...broughtKeys(good, payload, attack("JOS-04")),
    ...kids(good, attack("JOS-05")),
    ...critical(good, attack("JOS-06")),
    ...framing(good, { head, payload, signature }, attack("JOS-07")),
    ...otherForms(good, token, attack("JOS-08")),
    ...dates(good, attack("JOS-09")),
    ...audiences(good, attack("JOS-10")),
    ...(good.anySubject === true ? [] : subjects(good, attack("JOS-11"))),
    ...(good.anyIssuer === true || claimedIssuer(good) === undefined ? [] : issuers(good, attack("JOS-11"))),
    ...types(good, attack("JOS-12")),
    ...strangers(good, attack("JOS-13")),
  ]
}

/** What is long is made when it is asked for. */
type Attack = (name: string, token: string | (() => string)) => JoseAttack

function algorithms({ key, claims, header }: GoodToken, payload: string, signature: string, attack: Attack) {
  const algs = ["none", "None", "nOnE", "", null, undefined, 1, ["ES256"], "ES256K", "EdDSA", "HS256", "es256"]
  const others = ["RS256", "PS256", "ES384"]
  return [
    ...[...algs, ...others].map((alg) => attack(`alg ${JSON.stringify(alg)}`, key.token(claims, { ...header, alg }))),
    attack("alg none, no signature", `${part({ ...header, alg: "none" })}.${payload}.`),
    attack("alg none, the signature kept", `${part({ ...header, alg: "none" })}.${payload}.${signature}`),
  ]
}

function symmetric({ key, header }: GoodToken, payload: string, attack: Attack) {
  const { jwk, kid } = key.authority
  const publicKey = createPublicKey({ key: { ...jwk }, format: "jwk" })
  const secrets = {
    pem: publicKey.export({ type: "spki", format: "pem" }),
    der: publicKey.export({ type: "spki", format: "der" }),
    jwk: Buffer.from(jwk["x"] ?? "", "base64url"),
  }
  return Object.entries(secrets).map(([form, secret]) => {
    const input = `${part({ ...header, kid, alg: "HS256" })}.${payload}`
    return attack(`public key as ${form}`, `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`)
  })
}

function signatures(head: string, payload: string, token: string, attack: Attack) {
  const zero = "00".repeat(32)
  const n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
  const fixed = { "r=s=0": zero + zero, "r=0": zero + n, "s=0": n + zero, "r=s=n": n + n }
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const input = `${head}.${payload}`
  const changed = `${part({ ...JSON.parse(Buffer.from(payload, "base64url").toString()), jti: "other" })}`
  return [
    ...Object.entries(fixed).map(([name, hex]) =>
      attack(name, `${input}.${Buffer.from(hex, "hex").toString("base64url")}`),
    ),
    ...[0, 1, 63, 65, 128, 5000].map((length) =>
      attack(`${length} bytes`, `${input}.${Buffer.alloc(length, 1).toString("base64url")}`),
    ),
    attack("DER", `${input}.${sign("sha256", Buffer.from(input), privateKey).toString("base64url")}`),
    attack("another key", `${input}.${signature(input, privateKey)}`),
    attack("changed claims", `${head}.${changed}.${token.split(".")[2]}`),
  ]
}

function broughtKeys({ key, header, claims }: GoodToken, payload: string, attack: Attack) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const jwk = publicKey.export({ format: "jwk" })
  const input = `${part({ ...header, alg: "ES256", kid: key.authority.kid, jwk })}.${payload}`
  const named = ["jku", "x5u", "x5c", "x5t", "x5t#S256"].map((name) =>
    attack(name, key.token(claims, { ...header, [name]: "https://evil.test/keys" })),
  )
  return [
    ...named,
    attack("jwk", key.token(claims, { ...header, jwk: key.authority.jwk })),
    attack("signed by the jwk it brings", `${input}.${signature(input, privateKey)}`),
  ]
}

function kids({ key, claims, header }: GoodToken, attack: Attack) {
  const strange = ["../../etc/passwd", "' OR 1=1 --", "https://evil.test/", "__proto__", "constructor", "k".repeat(256)]
  const malformed = ["", 1, null, {}, ["a"], "k".repeat(257), "k".repeat(10_000_000)]
  return [...strange, ...malformed].map((kid) =>
    attack(`kid ${JSON.stringify(typeof kid === "string" ? kid.slice(0, 24) : kid)}`, () =>
      key.token(claims, { ...header, kid }),
    ),
  )
}

function critical({ key, claims, header }: GoodToken, attack: Attack) {
  const lists = [["exp"], ["unknown"], [], "exp", null, ["b64"]]
  return [
    ...lists.map((crit) => attack(`crit ${JSON.stringify(crit)}`, key.token(claims, { ...header, crit }))),
    attack("b64 false", key.token(claims, { ...header, b64: false, crit: ["b64"] })),
  ]
}

interface Parts {
  readonly head: string
  readonly payload: string
  readonly signature: string
}

function framing({ key, claims, header }: GoodToken, { head, payload, signature }: Parts, attack: Attack) {
  const twice = JSON.stringify(claims).replace("{", `{"aud":"evil",`)
  const headTwice = `{"alg":"none",${JSON.stringify({ alg: "ES256", kid: key.authority.kid, ...header }).slice(1)}`
  const changes: readonly (readonly [string, (text: string) => string])[] = [
    ["padding", (text) => `${text}=`],
    ["a space before", (text) => ` ${text}`],
    ["a line feed after", (text) => `${text}\n`],
    ["another alphabet", (text) => `${text.slice(0, -1)}+`],
    ["a stray character", (text) => `${text.slice(0, 4)}!${text.slice(4)}`],
  ]
  // 64 bytes leave 4 unused bits in the last character.
  const stray = { A: "B", Q: "R", g: "h", w: "x" }[signature.at(-1) ?? ""] ?? ""
  return [
    attack("a claim twice", key.token(twice, header)),
    attack("a header member twice", `${Buffer.from(headTwice).toString("base64url")}.${payload}.${signature}`),
    attack("stray bits", `${head}.${payload}.${signature.slice(0, -1)}${stray}`),
    attack("not UTF-8", `${head}.${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.${signature}`),
    attack("claims that are a list", key.token("[]", header)),
    ...changes.flatMap(([name, change]) => [
      attack(`${name} in the header`, `${change(head)}.${payload}.${signature}`),
      attack(`${name} in the claims`, `${head}.${change(payload)}.${signature}`),
      attack(`${name} in the signature`, `${head}.${payload}.${change(signature)}`),
    ]),
  ]
}

function otherForms({ key, claims, header }: GoodToken, token: string, attack: Attack) {
  return [
    attack("five parts", `${token}.AAAA.AAAA`),
    attack("zip", key.token(claims, { ...header, zip: "DEF" })),
    attack("PBES2", key.token(claims, { ...header, alg: "PBES2-HS256+A128KW", enc: "A128GCM", p2c: 1e9 })),
    attack("a million dots", () => ".".repeat(1_000_000)),
    attack("16,384 dots", ".".repeat(16_384)),
    attack("17 KiB", () => key.token({ ...claims, long: "x".repeat(17 * 1024) }, header)),
    ...["", ".", "..", "...", "a.b", "a.b.c"].map((text) => attack(JSON.stringify(text), text)),
  ]
}

function dates({ key, claims, header, now }: GoodToken, attack: Attack) {
  const infinite = JSON.stringify({ ...claims, exp: 0 }).replace('"exp":0', '"exp":1e400')
  const changes: readonly (readonly [string, object])[] = [
    ["no exp", { exp: undefined }],
    ["exp null", { exp: null }],
    ["exp NaN", { exp: "NaN" }],
    ["exp a text", { exp: String(claims.exp) }],
    ["exp negative", { exp: -claims.exp }],
    ["exp a list", { exp: [claims.exp] }],
    ["exp in milliseconds", { exp: claims.exp * 1000 }],
    ["exp past", { exp: now - 61 }],
    ["nbf in the future", { nbf: now + 61 }],
    ["nbf a text", { nbf: String(now) }],
    ["iat in the future", { iat: now + 61 }],
    ["iat a text", { iat: String(now) }],
  ]
  return [
    attack("exp 1e400", key.token(infinite, header)),
    ...changes.map(([name, change]) => attack(name, key.token({ ...claims, ...change }, header))),
  ]
}

function audiences({ key, claims, header, audience }: GoodToken, attack: Attack) {
  const { aud } = claims
  const none = [undefined, null, [], "", [""], [[aud]], { aud }, 1]
  const others = [`${aud}2`, aud.slice(0, -1), `${aud} `, aud.toUpperCase(), [`${aud}/`]]
  const many = Array.from({ length: 17 }, (_, i) => (i === 0 ? aud : `other-${i}`))
  const besides = audience === "sole" ? [[aud, "https://other.example"]] : []
  return [...none, ...(audience === "any" ? [] : others), [aud, 1], many, ...besides].map((value) =>
    attack(`aud ${JSON.stringify(value)?.slice(0, 40)}`, key.token({ ...claims, aud: value }, header)),
  )
}

function subjects({ key, claims, header }: GoodToken, attack: Attack) {
  const sub = String(claims["sub"])
  const url = URL.parse(sub)
  const values = [undefined, null, 1, "", "web", "https://example.org/web", url?.origin, url && `spiffe://${url.host}`]
  const variants = [sub.replace("example", "EXAMPLE"), sub.replace("e", "\u0435")]
  const longer = ["/", "/..", "?x", "#x", " ", "\0"].map((end) => `${sub}${end}`)
  return [...values, ...variants.filter((text) => text !== sub), ...longer, [sub]].map((value) =>
    attack(`sub ${JSON.stringify(value)}`, key.token({ ...claims, sub: value }, header)),
  )
}

function claimedIssuer({ claims }: GoodToken): string | undefined {
  return typeof claims["iss"] === "string" ? claims["iss"] : undefined
}

function issuers(good: GoodToken, attack: Attack) {
  const { key, claims, header } = good
  const iss = claimedIssuer(good) ?? ""
  const variants = [`${iss}/`, iss.toUpperCase(), iss.slice(0, -1), `${iss}2`, iss.replace(/[aei]/, "\u0435")]
  return [...variants, "https://evil.example", undefined, null, "", 1, [iss]].map((value) =>
    attack(`iss ${JSON.stringify(value)}`, key.token({ ...claims, iss: value }, header)),
  )
}

/** With the kid of their own key, and with that of the good one. */
function strangers({ key, claims, header, strangers: others = [] }: GoodToken, attack: Attack) {
  return others.flatMap((other, i) => [
    attack(`the key of authority ${i}`, other.token(claims, header)),
    attack(
      `the key of authority ${i}, by the kid of the right one`,
      other.token(claims, { kid: key.authority.kid, ...header }),
    ),
  ])
}

function types({ key, claims, header, otherTypes }: GoodToken, attack: Attack) {
  return [...otherTypes, "", 1, null, ["JWT"]].map((typ) =>
    attack(`typ ${JSON.stringify(typ)}`, key.token(claims, { ...header, typ })),
  )
}

function signature(input: string, key: KeyObject): string {
  const options = { key, dsaEncoding: "ieee-p1363" } as const
  return sign("sha256", Buffer.from(input), options).toString("base64url")
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url")
}
