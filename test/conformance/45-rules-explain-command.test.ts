import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { text } from "node:stream/consumers"
import { test } from "node:test"
import { LocalCluster } from "../../src/main/demo/local-cluster.ts"
import { makeScratch, type Scratch } from "../support/scratch.ts"

const ISSUER = "https://cluster.example"

/** A configuration for the cluster, and `assay explain` by it with a token on standard input. */
async function explainer(scratch: Scratch, cluster: LocalCluster) {
  await writeFile(scratch.path("jwks.json"), cluster.jwks())
  const config = `trust_domain: prod.example
clusters:
  - name: main
    issuer: ${ISSUER}
    audiences: [assay]
    keys: { jwks_file: ${scratch.path("jwks.json")} }
    token_review: { mode: off }
rules:
  - { name: web, namespace: shop, when: 'subject.pod.name.startsWith("web-")', spiffe_id: "/shop/{{service_account}}" }
`
  await writeFile(scratch.path("assay.yaml"), config)
  return async (token: string, form: "json" | "table") => {
    const args = ["src/main/cli.ts", "explain", "-c", scratch.path("assay.yaml"), "--token", "-", "-o", form]
    const child = spawn(process.execPath, args, { timeout: 60_000 })
    child.stdin.end(token)
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")])
    assert.ok(!out.includes(token) || token === "", "the token is not printed")
    return { code, out, err }
  }
}

test("[RUL-13] assay explain exits 0 granted, 1 refused, 2 not attested, 64 usage", async () => {
  await using scratch = await makeScratch()
  const cluster = new LocalCluster(ISSUER, () => Math.floor(Date.now() / 1000))
  const explain = await explainer(scratch, cluster)
  const token = (pod: string, audience: string) =>
    cluster.issueToken(cluster.createPod("shop", "front", pod), { audience: [audience], lifetime: 3600 })
  const granted = await explain(token("web-0", "assay"), "table")
  assert.equal(granted.code, 0, granted.err)
  assert.match(granted.out, /^GRANTED {2}spiffe:\/\/prod\.example\/shop\/front /m)
  const refused = await explain(token("job-0", "assay"), "json")
  assert.equal(refused.code, 1)
  assert.match(refused.out, /"reason":"no-rule-matched"/)
  const foreign = await explain(token("web-1", "other"), "json")
  assert.equal(foreign.code, 2)
  assert.match(foreign.out, /"outcome":"not-attested"/)
  assert.equal((await explain("", "table")).code, 64)
})
