import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { test } from "node:test"
import { makeCelConditions } from "../../src/adapters/cel/cel-conditions.ts"
import { MAX_TOKEN_LENGTH } from "../../src/core/jose/compact.ts"
import { parseAgentConfig } from "../../src/main/config/agent-config.ts"
import { allKeys, type ConfigKind, configJsonSchema } from "../../src/main/config/json-schema.ts"
import { keyTable } from "../../src/main/config/key-table.ts"
import { ConfigError } from "../../src/main/config/problem.ts"
import { parseServerConfig } from "../../src/main/config/server-config.ts"

const { compile } = makeCelConditions()
const CLUSTER =
  "clusters: [{ name: main, issuer: i, audiences: [a], keys: { jwks_file: /x }, token_review: { mode: off } }]"
const BASE = `trust_domain: prod.example\n${CLUSTER}\n`

function server(text: string) {
  return parseServerConfig(text, "assay.yaml", compile)
}

/** `line:column key: message` for each problem; empty for a valid text. */
function problems(text: string, parse: (text: string) => unknown = server): readonly string[] {
  try {
    parse(text)
    return []
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    return thrown.problems.map(({ line, column, key, message }) => `${line}:${column} ${key}: ${message}`)
  }
}

test("[CFG-01] an unknown key is refused at its place, with the key that was meant", () => {
  assert.deepEqual(problems(`${BASE}x509:\n  ttl: 1h\n  ttl_jiter: 5%\n`), [
    '5:3 x509.ttl_jiter: unknown key; did you mean "ttl_jitter"?',
  ])
  assert.deepEqual(problems(`${BASE}lisen: {}\n`), ['3:1 lisen: unknown key; did you mean "listen"?'])
  assert.match(
    problems(`${BASE}jwt: { zzzzzzzz: 1 }\n`)[0] ?? "",
    /^3:8 jwt\.zzzzzzzz: unknown key; known here: ttl, key_ttl/,
  )
  assert.match(
    problems(BASE.replace("jwks_file: /x", "jwks_flie: /x"))[0] ?? "",
    /^2:\d+ clusters\[0\]\.keys\.jwks_flie: unknown key; did you mean "jwks_file"\?/,
  )
})

test("[CFG-01] a missing key is reported at the mapping that lacks it, and all problems at once", () => {
  const text = "clusters:\n  - name: a\n    audiences: []\nlog: { level: loud }\n"
  const found = problems(text)
  assert.ok(found.includes("1:1 trust_domain: is required"))
  assert.ok(found.some((line) => line.startsWith("2:5 clusters[0].issuer: is required")))
  assert.ok(found.some((line) => line.startsWith("3:5 clusters[0].audiences: must not be empty")))
  assert.ok(found.includes("4:8 log.level: must be one of debug, info, warn, error"))
})

test("[CFG-02] a key that stands twice is refused", () => {
  assert.match(problems(`${BASE}trust_domain: other.example\n`)[0] ?? "", /^3:1 .*unique/)
})

test("[CFG-03] a file that is too large or expands without bound is refused", () => {
  assert.deepEqual(problems(`#${"x".repeat(4 * 1024 * 1024)}`), ["1:1 : is larger than 4 MiB"])
  const levels = Array.from({ length: 12 }, (_, i) => {
    const items = i === 0 ? '"x"' : `*a${i - 1}`
    return `a${i}: &a${i} [${Array.from({ length: 9 }, () => items).join(", ")}]`
  })
  assert.deepEqual(problems(levels.join("\n")), ["1:1 : YAML: has too many aliases"])
  assert.match(problems("a: [")[0] ?? "", /YAML/)
  assert.equal(problems("a: 1\n---\nb: 2\n").length, 1)
})

test("[CFG-04] values with units are text, with a known unit, within bounds", () => {
  const x509 = (ttl: string) => problems(`${BASE}x509: { ttl: ${ttl} }\n`)
  for (const bad of ["3600", '"3600"', "1.5h", "-1h", "1w", '""', "[1h]", "9999999999h"]) {
    assert.equal(x509(bad).length, 1, bad)
    assert.match(x509(bad)[0] ?? "", /^3:9 x509\.ttl: must be a duration such as/, bad)
  }
  assert.deepEqual(x509("4s"), ["3:9 x509.ttl: must be from 5s to 30d"])
  assert.deepEqual(x509("31d"), ["3:9 x509.ttl: must be from 5s to 30d"])
  assert.match(problems(`${BASE}limits: { csr_size: 8kb }`)[0] ?? "", /must be a size such as/)
  assert.match(problems(`${BASE}limits: { identity_rate: 5/m }`)[0] ?? "", /must be a rate such as/)
  assert.match(problems(`${BASE}x509: { ttl_jitter: 51% }`)[0] ?? "", /must be from 0% to 50%/)
})

test("[CFG-04][ATT-01] the longest platform token that can be configured is the longest that is ever read", () => {
  const limits = (size: string) => `${BASE}limits: { token_size: ${size}, header_size: 64KiB }\n`
  const { tokenSize } = server(limits("16KiB")).limits
  assert.equal(tokenSize, MAX_TOKEN_LENGTH)
  assert.match(problems(limits("16385B"))[0] ?? "", /limits\.token_size: must be from 1KiB to 16KiB$/)
})

test("[CFG-05] values that contradict each other are refused with both keys", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["x509: { ttl: 13h }", /^3:9 x509\.ttl: must be at most half of issuing\.ttl/],
    ["issuing: { ttl: 300d }", /issuing\.ttl: must be at most half of root\.ttl/],
    ["jwt: { publish_ahead: 24h }", /jwt\.publish_ahead: must be less than jwt\.key_ttl/],
    ["jwt: { ttl: 2h, key_ttl: 90m }", /jwt\.ttl: must be at most jwt\.key_ttl/],
    ["rules: [{ name: a, spiffe_id: /a, x509_ttl: 13h }]", /rules\[0\]\.x509_ttl: must be at most half/],
    ["rules: [{ name: a, spiffe_id: /a, jwt_ttl: 6m }]", /rules\[0\]\.jwt_ttl: must be at most jwt\.ttl/],
    ["rules: [{ name: a, spiffe_id: /a, cluster: nope }]", /rules\[0\]\.cluster: no cluster "nope"/],
    [
      "rules: [{ name: a, spiffe_id: /a, federates_with: [b.example] }]",
      /"b\.example" is not configured under federation/,
    ],
    ["federation: [{ trust_domain: prod.example, bundle_file: /b }]", /is the own trust domain/],
    ["limits: { token_size: 16KiB, header_size: 16KiB }", /must leave 2KiB of limits\.header_size/],
    ["limits: { identity_burst: 30000 }", /at most limits\.global_burst/],
    ["serving: { certificate_file: /c }", /certificate_file and key_file need each other/],
    ["serving: { certificate_file: /c, key_file: /k, dns_names: [a] }", /excludes dns_names/],
    ["listen: { health: 127.0.0.1:8443 }", /another port than listen\.grpc/],
    ["listen: { admin: 0.0.0.0:8443 }", /listen\.admin: must have another port than listen\.grpc/],
    ["admin: { audience: a }", /admin\.audience: has no meaning without oauth/],
    [
      "admin: { audience: https://i }\noauth: { issuer: https://i }",
      /admin\.audience: must be another than oauth\.issuer/,
    ],
    [`admin: { issuers: [${ISSUER}] }\noauth: { issuer: https://i }`, /issuers\[0\]\.issuer: is this server/],
    [
      `admin: { issuers: [${ISSUER}] }\noauth: { issuer: https://o, external_issuers: [${ISSUER}] }`,
      /admin\.issuers\[0\]\.audiences: "a" is one of oauth\.external_issuers as well/,
    ],
    [
      "admin: { roles: [{ name: a, who: { spiffe_id: /assay/x }, verbs: [audit] }] }",
      /who\.spiffe_id: is under \/assay/,
    ],
    ["admin: { approval: { verbs: [audit] } }", /admin\.approval\.verbs\[0\]/],
  ]
  for (const [line, message] of cases) assert.match(problems(BASE + line).join("\n"), message, line)
})

test("[CFG-23] two entries of federation are of two trust domains, in whatever spelling, and have two files", () => {
  const of = (...entries: readonly string[]) => problems(`${BASE}federation: [${entries.join(", ")}]`)
  const entry = (name: string, file: string) => `{ trust_domain: "${name}", bundle_file: ${file} }`
  assert.deepEqual(of(entry("a.example", "/a"), entry("b.example", "/b")), [])
  const cases: readonly (readonly [readonly [string, string], readonly [string, string], RegExp])[] = [
    [["a.example", "/a"], ["a.example", "/b"], /:\d+ federation\[1\]\.trust_domain: is there already$/],
    [
      ["a.example", "/a"],
      ["a.example.", "/b"],
      /federation\[1\]\.trust_domain: is "a\.example", which is there already$/,
    ],
    [
      ["a.example", "/a"],
      ["A.example", "/b"],
      /federation\[1\]\.trust_domain: trust domain has a character outside a-z/,
    ],
    [["a.example", "/a"], ["spiffe://a.example", "/b"], /federation\[1\]\.trust_domain: trust domain has a character/],
    [["a.example", "/a"], ["prod.example.", "/b"], /federation\[1\]\.trust_domain: is the own trust domain$/],
    [
      ["a.example", "/a"],
      ["b.example", "/a"],
      /:\d+ federation\[1\]\.bundle_file: is the file of "a\.example" as well/,
    ],
    [
      ["a.example", "a"],
      ["b.example", "./x/../a"],
      /federation\[1\]\.bundle_file: is the file of "a\.example" as well/,
    ],
  ]
  for (const [one, other, message] of cases) {
    const [first, ...more] = of(entry(...one), entry(...other))
    assert.match(first ?? "", message)
    assert.deepEqual(more, [])
  }
})

test("[CFG-05][RINV-10] a root that lives too short to be rotated, ever, is refused by the longest life of a certificate", () => {
  const lives = (root: string, rule: string) =>
    problems(`${BASE}root: { ttl: ${root} }\nissuing: { ttl: 2h }\nrules: [{ name: a, spiffe_id: /a${rule} }]`)
  assert.match(lives("6h", "").join("\n"), /root\.ttl: must be at least 21660s, six times the longest x509\.ttl/)
  assert.deepEqual(lives("361m", ""), [])
  assert.match(lives("5h", ", x509_ttl: 1m").join("\n"), /root\.ttl/)
  const long = `${BASE}root: { ttl: 8h }\nissuing: { ttl: 4h }\nrules: [{ name: a, spiffe_id: /a, x509_ttl: 2h }]`
  assert.match(problems(long).join("\n"), /root\.ttl: must be at least 43260s/)
})

test("[CFG-05] a cluster that cannot work is refused", () => {
  const withCluster = (keys: string) => `trust_domain: a\nclusters: [{ name: m, issuer: i, audiences: [a], ${keys} }]`
  const cases: readonly (readonly [string, RegExp])[] = [
    ["keys: {}", /keys: needs exactly one of/],
    ["keys: { jwks_file: /x, kubeconfig: /k }", /keys: needs exactly one of/],
    [
      "keys: { jwks_file: /x, ca_file: /c }, token_review: { mode: off }",
      /keys\.ca_file: has no meaning without jwks_url/,
    ],
    ["keys: { jwks_file: /x }", /token_review: needs url or kubeconfig/],
    ["keys: { jwks_url: http://a.example }, token_review: { mode: off }", /must be an https URL/],
    ["keys: { jwks_file: /x }, token_review: { mode: off }, degraded_for: 1m", /degraded_for: has no meaning/],
  ]
  for (const [keys, message] of cases) assert.match(problems(withCluster(keys)).join("\n"), message, keys)
  assert.deepEqual(problems(withCluster("keys: { jwks_url: 'http://127.0.0.1:1/k' }, token_review: { mode: off }")), [])
  const one = "{ name: N, issuer: i, audiences: [a], keys: { jwks_file: /x }, token_review: { mode: off } }"
  const two = `trust_domain: a\nclusters: [${one}, ${one}]`
  assert.match(problems(two).join("\n"), /already[\s\S]*cannot be told apart/)
})

test("[CFG-06] what is read is parsed, complete, and frozen at any depth", () => {
  const config = server(`${BASE}listen: { grpc: "[::1]:0" }\nlimits: { csr_size: 4KiB }`)
  assert.deepEqual(config.listen.grpc, { host: "::1", port: 0 })
  assert.deepEqual([config.x509.ttl, config.x509.ttlJitter, config.limits.csrSize], [3600, 0.1, 4096])
  assert.deepEqual(config.clusters[0]?.keys, { kind: "jwks-file", file: "/x" })
  for (const part of [config, config.listen.grpc, config.clusters, config.clusters[0], config.clusters[0]?.keys]) {
    assert.ok(Object.isFrozen(part))
  }
  const agent = parseAgentConfig("trust_domain: a\nserver: { address: h:1 }\nbootstrap: { insecure: true }", "a.yaml")
  assert.deepEqual(agent.bootstrap, { kind: "insecure" })
  assert.equal(agent.socket.mode, 0o777)
})

test("[CFG-06] text that no parser takes is refused", () => {
  for (const domain of ["Prod.example", "a b", '""', "a/b", "spiffe://a"]) {
    assert.equal(problems(BASE.replace("prod.example", domain)).length > 0, true, domain)
  }
  for (const address of ["8443", ":8443", "host", "host:99999", "[127.0.0.1]:1", "::1:8443"]) {
    assert.match(problems(`${BASE}listen: { grpc: "${address}" }`)[0] ?? "", /listen\.grpc: must be host:port/, address)
  }
})

test("[CFG-07] no key takes a secret itself", () => {
  const keys = (["server", "agent"] as const).flatMap((kind) => [...allKeys(configJsonSchema(kind))])
  const secretive = keys.filter(({ key }) => /(?:secret|password|private|token|sealing_key)[^.]*$/.test(key))
  for (const { key } of secretive) assert.match(key, /_file$|token_review$|token_size$|token_rules$/)
  assert.equal(problems(`${BASE}keys: { sealing_key: abc }`).length, 1)
})

test("[CFG-08] the published JSON Schemas are the ones in force", async () => {
  for (const kind of ["server", "agent"] as const) {
    const published: unknown = JSON.parse(await readFile(`deploy/schema/${kind}.json`, "utf8"))
    assert.deepEqual(published, JSON.parse(JSON.stringify(configJsonSchema(kind))), "run: npm run gen")
  }
})

test("[CFG-09] the chapter lists each key with the description of the schema, and no other", async () => {
  const chapter = await readFile("spec/95-config.md", "utf8")
  const sections = new Map(
    chapter
      .split("\n## Keys of assay ")
      .slice(1)
      .map((text) => [text.split("\n")[0], text]),
  )
  for (const kind of ["server", "agent"] satisfies ConfigKind[]) {
    const listed = (sections.get(kind) ?? "").split("\n").filter((line) => line.startsWith("| `"))
    for (const { key, description } of allKeys(configJsonSchema(kind))) assert.notEqual(description, "", key)
    assert.deepEqual(listed, keyTable(kind), "run: npm run gen")
  }
})

test("[CFG-17] each example is valid", async () => {
  const files = (await readdir("deploy/examples")).filter((file) => file.endsWith(".yaml"))
  assert.ok(files.length >= 3)
  for (const file of files) {
    const text = await readFile(`deploy/examples/${file}`, "utf8")
    if (file.startsWith("server")) assert.deepEqual(parseServerConfig(text, file, compile).warnings, [])
    else if (file.startsWith("agent")) parseAgentConfig(text, file)
    else assert.fail(`${file}: the name of an example begins with server or agent`)
  }
})

const ISSUER = "{ name: n, issuer: https://i, audiences: [a], keys: { jwks_file: /k }, spiffe_id: /ops/x }"
