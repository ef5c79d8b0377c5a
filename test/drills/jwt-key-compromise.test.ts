import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { runAssay } from "../support/run-assay.ts"
import { headerOf } from "../support/token-server.ts"
import { until } from "../support/until.ts"
import { drill } from "./drill.ts"

drill(
  "jwt-key-compromise",
  "an emergency takes the stolen key from every verifier, its tokens with it, and the root stays",
  { x509: { ttl: "20s" }, jwt: { publish_ahead: "1s" }, rotation: { skew: "1s" } },
  async ({ book, folder, addAgent }) => {
    const web = await addAgent("web")
    const db = await addAgent("db")
    const [root] = web.workload.seen.at(-1)?.bundle ?? []
    const stolen = await fetchToken(web.agent.socket)
    assert.equal(await accepts(db.agent.socket, stolen), true)
    const keys = async () => (await readdir(join(folder, "keys"))).filter((name) => name.startsWith("jwt-"))
    const before = await keys()

    await book.run("What to do", 0)
    assert.deepEqual(await keys(), before, "a dry run made a key")
    await book.run("What to do", 1)
    await until("its refusal everywhere", async () => !(await accepts(db.agent.socket, stolen)), PATIENCE)
    const isFresh = async () => kidOf(await fetchToken(web.agent.socket)) !== kidOf(stolen)
    await until("a token of another key", isFresh, PATIENCE)
    const fresh = await fetchToken(web.agent.socket)
    await until("its acceptance", () => accepts(db.agent.socket, fresh), PATIENCE)
    await until("nobody to wait for", async () => /\[RETIRED\]/.test(await book.run("What to do", 2)), PATIENCE)
    await book.run("What to do", 3)
    const left = await keys()
    assert.deepEqual(
      left.filter((key) => before.includes(key)),
      [],
    )
    await book.run("What to do", 4)
    const jwks = JSON.parse(await readFile(join(folder, "jwks.json"), "utf8"))
    assert.deepEqual(
      jwks.keys.map(({ kid }: { readonly kid: string }) => kid),
      [kidOf(fresh)],
    )
    assert.match(await book.run("What to do", 5), /emergency/)
    assert.deepEqual(web.workload.seen.at(-1)?.bundle, [root])
  },
)

async function fetchToken(socket: string): Promise<string> {
  const { out, err } = await runAssay([
    "api",
    "fetch",
    "jwt",
    "--audience",
    "db",
    "--socket",
    `unix://${socket}`,
    "-o",
    "json",
  ])
  assert.notEqual(out, "", err)
  return JSON.parse(out).svids[0].token
}

async function accepts(socket: string, token: string): Promise<boolean> {
  const { code } = await runAssay([
    "api",
    "validate",
    "jwt",
    "--audience",
    "db",
    "--socket",
    `unix://${socket}`,
    "--svid",
    token,
  ])
  return code === 0
}

function kidOf(token: string): unknown {
  return headerOf(token)["kid"]
}

const PATIENCE = 90_000
