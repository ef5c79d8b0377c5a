import assert from "node:assert/strict"
import { after, describe, test } from "node:test"
import { toIdentityError } from "../../src/core/errors.ts"
import { type GoodToken, joseAttacks } from "../support/jose-attacks.ts"
import { projectFiles } from "../support/project-files.ts"
import { rulesOf } from "../support/spec-rules.ts"
import { TOKEN_KINDS, type TokenKind, tokenParts } from "../support/token-kinds.ts"
import { openTokenPlaces, type TokenPlace } from "../support/token-places.ts"
import { openTokenWorld, WORLD_NOW } from "../support/token-world.ts"

/** Every verifier of tokens, by every kind that it takes, against every case of the list of attacks; and each kind where it does not belong. */
const stack = new AsyncDisposableStack()
const world = stack.use(await openTokenWorld())
const PLACES = await openTokenPlaces(world, stack)
after(() => stack.disposeAsync())

/** Cases that mean nothing for a kind of token, and why. */
const WITHOUT: Readonly<Partial<Record<TokenKind, Readonly<Record<string, string>>>>> = {
  "DPoP proof": {
    "JOS-04": "it brings its key; DP-05 holds what that may be",
    "JOS-05": "kid chooses nothing",
    "JOS-09": "exp is optional; DP-01 holds iat",
    "JOS-10": "it has no audience but htu; DP-06",
    "JOS-11": "it has neither issuer nor subject",
  },
}
const CASES = projectFiles("spec/*.md")
  .flatMap(rulesOf)
  .map(({ id }) => id)
  .filter((id) => id.startsWith("JOS-"))
const OTHER_TYPES = ["JWT", "JOSE", "at+jwt", "dpop+jwt", "wit+jwt", "logout+jwt", "id_token+jwt", "secevent+jwt"]
const MORE_TYPES = ["token-introspection+jwt", "client-authentication+jwt", "txntoken+jwt", "AT+JWT ", "jwt"]
/** Values of `typ` that may stand in a token of a kind. */
const TYPES: Readonly<Record<TokenKind, readonly string[]>> = {
  "platform token": ["JWT"],
  "JWT-SVID": ["JWT", "JOSE"],
  "federated JWT-SVID": ["JWT", "JOSE"],
  "access token": ["at+jwt", "application/at+jwt"],
  "client assertion": ["JWT", "client-authentication+jwt"],
  "outside token": ["JWT"],
  "DPoP proof": ["dpop+jwt"],
  "introspection answer": ["token-introspection+jwt"],
}

for (const [name, place] of Object.entries(PLACES)) {
  for (const kind of place.takes) {
    describe(`${name}: ${kind}`, () => {
      const attacks = joseAttacks(goodToken(place, kind))
      const without = WITHOUT[kind] ?? {}

      for (const id of CASES.filter((one) => without[one] === undefined)) {
        const cases = attacks.filter((attack) => attack.id === id)
        test(`[${id}] refuses every one of the ${cases.length} tokens of the list`, async () => {
          assert.ok(cases.length > 0, "a case of spec/ without an attack")
          for (const attack of cases) await refuses(place, attack.token, attack.name)
        })
      }

      test("[AT-05] accepts a good token", async () => {
        await place.enter(goodText(place, kind))
      })
    })
  }

  for (const kind of TOKEN_KINDS.filter((one) => !place.takes.includes(one))) {
    test(`[JOS-12][AT-05] ${name}: refuses a good ${kind}, which is not for it`, async () => {
      await refuses(place, goodText(place, kind), kind)
    })
  }
}

test("[JOS-12] every file that reads a token is in the table, and no other", () => {
  const readers = projectFiles("src/**/*.ts").filter(
    ({ path, text }) => !path.startsWith("src/core/") && READS.test(text),
  )
  const listed = Object.values(PLACES).flatMap(({ through }) => through)
  const unverified = ["src/client/jwt-source.ts"] // what the agent's own Workload API sent
  assert.deepEqual(readers.map(({ path }) => path).sort(), [...new Set([...listed, ...unverified])].sort())
})

test("[JOS-12] every parameter that carries a token is in the table", () => {
  const asked = projectFiles("src/{core/oauth,app/exchange}/*.ts").flatMap(({ text }) => [
    ...text.matchAll(/(?:form\.one|required)\((?:form, )?"(\w+)"\)/g),
    ...text.matchAll(/parseTypedToken\(form, "(\w+)"\)/g),
  ])
  const carriers = asked.map(([, name = ""]) => name).filter((name) => /token$|assertion$/.test(name))
  const places = Object.keys(PLACES).map((name) => name.split(" ")[0])
  assert.deepEqual(
    [...new Set(carriers)].filter((name) => !places.includes(name)),
    [],
  )
  assert.ok(carriers.length >= 5)
})

async function refuses({ enter }: TokenPlace, token: string, what: string): Promise<void> {
  await assert.rejects(
    enter(token),
    (thrown) => {
      const { code, reason } = toIdentityError(thrown)
      assert.ok(
        ["unauthenticated", "malformed", "grant-expired-or-replayed"].includes(code),
        `${what}: ${code} ${reason}`,
      )
      assert.ok(reason === undefined || !reason.endsWith("replayed"), `${what}: ${reason}`)
      return true
    },
    what,
  )
}

function goodToken(place: TokenPlace, kind: TokenKind): GoodToken {
  const { key, header, claims } = tokenParts(kind, world.keys, WORLD_NOW)
  const types = [...OTHER_TYPES, ...MORE_TYPES].filter((typ) => !TYPES[kind].includes(typ))
  const strangers = Object.values(world.keys).filter((other) => other !== key)
  const isSole = kind === "platform token" || kind === "outside token"
  const audience = isSole ? "sole" : place.audience
  return {
    key,
    header,
    claims: { ...claims, ...place.claims },
    otherTypes: types,
    now: WORLD_NOW,
    ...(audience && { audience }),
    anySubject: kind === "outside token",
    strangers,
  }
}

function goodText(place: TokenPlace, kind: TokenKind): string {
  const { key, claims, header } = tokenParts(kind, world.keys, WORLD_NOW)
  return key.token({ ...claims, ...place.claims }, header)
}

const READS = /\b(?:parseCompactJws|parseJwtSvid|parseAccessToken|parseDpopProof)\(/
