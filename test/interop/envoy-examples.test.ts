import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, test } from "node:test"
import { promisify } from "node:util"
import { encodePem } from "../../src/core/x509/pem.ts"
import { peerFile, skipWithout } from "../support/peers/peer.ts"
import { projectFiles } from "../support/project-files.ts"
import { makeScratch } from "../support/scratch.ts"
import { makeTestCa } from "../support/test-ca.ts"

const run = promisify(execFile)
const EXAMPLES = projectFiles("deploy/envoy/*.yaml")

describe("the Envoy bootstraps of deploy/envoy", { skip: await skipWithout("envoy") }, () => {
  test("are there, for an agent, without one, and for access tokens", () => {
    assert.deepEqual(
      EXAMPLES.map(({ path }) => path),
      ["deploy/envoy/agent.yaml", "deploy/envoy/jwt-authn.yaml", "deploy/envoy/remote.yaml"],
    )
  })

  for (const { path, text } of EXAMPLES) {
    test(`${path} is accepted by Envoy`, async () => {
      await using folder = await makeScratch("envoy-example")
      const files = await writeNamedFiles(folder.directory)
      const bootstrap = folder.path("envoy.yaml")
      await writeFile(bootstrap, withFiles(text, files))
      const envoy = await peerFile("envoy", "envoy/_bin/envoy")
      const { stdout } = await run(envoy, ["--mode", "validate", "--config-path", bootstrap], { timeout: 30_000 })
      assert.match(stdout, /OK/)
    })
  }
})

/** Envoy opens the files that a bootstrap names when it validates it. */
async function writeNamedFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const [roots, token] = [join(folder, "bundle.pem"), join(folder, "token")]
  await writeFile(roots, encodePem("CERTIFICATE", makeTestCa().root.certificate.der))
  await writeFile(token, "token")
  return new Map([
    ["/etc/assay/bundle.pem", roots],
    ["/var/run/secrets/tokens/assay", token],
  ])
}

function withFiles(text: string, files: ReadonlyMap<string, string>): string {
  return [...files].reduce((changed, [from, to]) => changed.replaceAll(from, to), text)
}
