import assert from "node:assert/strict"
import { test } from "node:test"
import { Metadata } from "@grpc/grpc-js"
import { isServersAnswer, problemToError, statusToError } from "../../src/adapters/identity-client/status-to-error.ts"
import { ERROR_CODES, IdentityError } from "../../src/core/errors.ts"
import { toStatus } from "../../src/transports/grpc/status.ts"
import { never, ORDER, SERVER, setUpClient } from "../support/identity-client-under-test.ts"
import { startIdentityServer } from "../support/identity-server.ts"
import { makeTestCa } from "../support/test-ca.ts"

test("[AGT-33] every code of the server comes back as itself, with reason and pause", () => {
  for (const code of ERROR_CODES) {
    const sent = new IdentityError(code, "text", { reason: "finer-reason", next: "do this", retryAfter: 7 })
    const status = toStatus(sent)
    const { code: got, reason, next, retryAfter, message } = statusToError(status)
    assert.deepEqual(
      { got, reason, next, retryAfter, message },
      { got: code, reason: "finer-reason", next: "do this", retryAfter: 7, message: "text" },
    )
    assert.equal(isServersAnswer(status), true)
    const problem = problemToError({
      code,
      message: "text",
      reason: "finer-reason",
      next: "do this",
      retryAfterSeconds: 7,
    })
    assert.deepEqual(
      [problem.code, problem.reason, problem.next, problem.retryAfter],
      [code, "finer-reason", "do this", 7],
    )
  }
})

test("[AGT-33] no status without the server's word denies an identity, whoever sends it", () => {
  const denials = ["no-identity", "policy-denied", "attestation-denied"]
  for (let code = 0; code <= 17; code++) {
    const status = { code, details: "from a proxy", metadata: new Metadata() }
    assert.ok(!denials.includes(statusToError(status).code), `status ${code}`)
    assert.equal(isServersAnswer(status), false)
  }
  const garbled = new Metadata()
  garbled.set("grpc-status-details-bin", Buffer.from("no protobuf"))
  assert.equal(statusToError({ code: 7, details: "", metadata: garbled }).code, "not-ready")
})

test("[AGT-33] a denial of the server reaches the caller as one, over the wire", async () => {
  const ca = makeTestCa()
  await using setup = await setUpClient(ca)
  const denied = toStatus(new IdentityError("no-identity", "no rule matches", { reason: "no-rule" }))
  await using server = await startIdentityServer(ca, SERVER, { batchIssueJwt: (_, reply) => reply(denied) })
  await using client = setup.open(server.port)
  await assert.rejects(client.issueJwt([ORDER], never), { code: "no-identity", reason: "no-rule" })
})
