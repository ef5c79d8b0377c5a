import assert from "node:assert/strict"
import { test } from "node:test"
import { approvalReach } from "../../src/main/config/approval-reach.ts"
import { projectFiles } from "../support/project-files.ts"
import { runAssay } from "../support/run-assay.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeServerSetup } from "../support/server-setup.ts"

const LISTEN = { grpc: "127.0.0.1:0", health: "127.0.0.1:0" }
const REMOTE = { ...LISTEN, admin: "127.0.0.1:0" }
const [ALICE, BOB] = [{ spiffe_id: "/ops/alice" }, { spiffe_id: "/ops/bob" }]
const OPS = { spiffe_id: "/ops/*" }
const ALL = ["rotation", "bans", "approvals"]

type Role = readonly [who: object, verbs: readonly string[], prefixes?: readonly string[]]

const CASES: Readonly<Record<string, readonly [string, readonly Role[], object?]>> = {
  "no roles": ["machine", []],
  "two who may do everything": [
    "named",
    [
      [ALICE, ALL],
      [BOB, ALL],
    ],
  ],
  "two, of whom one approves and one proposes": [
    "named",
    [
      [ALICE, ALL],
      [BOB, ["rotation"]],
    ],
  ],
  "a user of the machine and an identity": [
    "named",
    [
      [{ uid: 1000 }, ALL],
      [BOB, ["rotation"]],
    ],
  ],
  "one alone": ["machine", [[ALICE, ALL]]],
  "one who holds two roles": [
    "machine",
    [
      [ALICE, ["rotation"]],
      [ALICE, ["approvals"]],
    ],
  ],
  "one, and root": [
    "machine",
    [
      [ALICE, ALL],
      [{ uid: 0 }, ALL],
    ],
  ],
  "two who propose, and nobody who approves": [
    "machine",
    [
      [ALICE, ["rotation"]],
      [BOB, ["rotation"]],
    ],
  ],
  "one who approves what he may not do": [
    "machine",
    [
      [ALICE, ["rotation"]],
      [BOB, ["approvals"]],
    ],
  ],
  "roles for some identities alone": [
    "machine",
    [
      [ALICE, ALL, ["/ns/shop/*"]],
      [BOB, ALL, ["/ns/shop/*"]],
    ],
  ],
  "identities without a door": [
    "machine",
    [
      [ALICE, ALL],
      [BOB, ALL],
    ],
    LISTEN,
  ],
  "a prefix": ["open", [[OPS, ALL]]],
  "a group": ["open", [[{ gid: 100 }, ALL]]],
  "one who approves, and a prefix that proposes": [
    "open",
    [
      [ALICE, ALL],
      [OPS, ["rotation"]],
    ],
  ],
  "one whose right to approve is a prefix's": [
    "named",
    [
      [OPS, ["approvals"]],
      [ALICE, ["rotation"]],
      [BOB, ["rotation"]],
    ],
  ],
}

for (const [what, [kind, roles, listen = REMOTE]] of Object.entries(CASES)) {
  test(`[ADM-29] ${what}: ${kind}`, async () => {
    await using scratch = await makeScratch()
    const setup = await makeServerSetup(scratch.directory)
    const named = roles.map(([who, verbs, prefixes], i) => ({
      name: `r${i}`,
      who,
      verbs,
      ...(prefixes && { prefixes }),
    }))
    const config = setup.parse({ listen, admin: { approval: {}, roles: named } })
    assert.deepEqual(
      approvalReach(config).map((reach) => [reach.verb, reach.kind]),
      [["rotation", kind]],
    )
    assert.equal(config.warnings.length, kind === "machine" ? 1 : 0)
    assert.deepEqual(setup.parse({ listen, admin: { roles: named } }).warnings, [])
  })
}

test("[ADM-29] bans within prefixes can be approved by those who have them", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const roles = [ALICE, BOB].map((who, i) => ({ name: `r${i}`, who, verbs: ALL, prefixes: ["/ns/shop/*"] }))
  const config = setup.parse({ listen: REMOTE, admin: { approval: { verbs: ["bans"] }, roles } })
  assert.equal(approvalReach(config)[0]?.kind, "named")
})

test("[ADM-29] what concerns all is not approved by those whose right to approve has prefixes", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory)
  const roles = [ALICE, BOB].flatMap((who, i) => [
    { name: `r${i}`, who, verbs: ["rotation"] },
    { name: `a${i}`, who, verbs: ["approvals"], prefixes: ["/ns/shop/*"] },
  ])
  const config = setup.parse({ listen: REMOTE, admin: { approval: {}, roles } })
  assert.equal(approvalReach(config)[0]?.kind, "machine")
})

test("[ADM-29] validate and doctor say so once each, with what to do, and validate stays at 0", async () => {
  await using scratch = await makeScratch()
  const setup = await makeServerSetup(scratch.directory, { admin: { approval: { verbs: ["rotation", "bans"] } } })
  const validated = await runAssay(["validate", "-c", setup.configFile])
  assert.equal(validated.code, 0, validated.err)
  const warned = validated.out.split("\n").filter((line) => line.endsWith("(warning)"))
  assert.equal(warned.length, 2)
  assert.match(
    warned[0] ?? "",
    /:\d+:\d+: admin\.approval: .*verb rotation .*: give two a role with the verbs rotation and approvals/,
  )
  const { out } = await runAssay(["doctor", "-c", setup.configFile])
  assert.equal(out.split("needs two operators").length, 3, out)
  assert.match(out, /^warning {3}approval: .*\n {10}next: give two a role/m)
})

test("[ADM-29] no example of ours warns", async () => {
  for (const { path } of projectFiles("deploy/examples/server*.yaml")) {
    const { out, err } = await runAssay(["validate", "-c", path])
    assert.ok(!out.includes("(warning)"), `${path}: ${out}${err}`)
  }
})
