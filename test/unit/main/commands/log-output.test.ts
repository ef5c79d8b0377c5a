import assert from "node:assert/strict"
import { test } from "node:test"
import { issuanceTable, recordOfLogged } from "../../../../src/main/commands/log-output.ts"
import { fixtureIntent } from "../../../support/issuance-fixtures.ts"

const { requester } = fixtureIntent("01")
const nobody = { ...requester, cluster: "", namespace: "", serviceAccount: "", pod: "", podUid: "", node: "" }
const signature = new Uint8Array([1])

test("the table names who asked: pod, service account, or the server itself", () => {
  const found = [
    { intent: fixtureIntent("01"), signature },
    { intent: fixtureIntent("02", { requester: { ...requester, pod: "" } }), signature },
    { intent: fixtureIntent("03", { requester: nobody }), signature },
  ]
  const [head, ...rows] = issuanceTable(found.map(recordOfLogged)).split("\n")
  assert.match(head ?? "", /^ISSUED +KIND +OUTCOME +SERIAL +IDENTITY +EXPIRES +REQUESTER$/)
  const askers = rows.map((row) => row.split(/ {2,}/).at(-1))
  assert.deepEqual(askers, ["east/shop/web/web-5d8f7c9b4-x2x7k", "east/shop/web", "the server itself"])
})

test("an issuance without a recorded signature has the outcome unknown, in both forms", () => {
  const found = [{ intent: fixtureIntent("01"), signature: undefined }]
  assert.match(issuanceTable(found.map(recordOfLogged)), / x509 +unknown +01 /)
  assert.deepEqual(
    found.map((one) => recordOfLogged(one).outcome),
    ["unknown"],
  )
})

test("says so when nothing matches", () => {
  assert.equal(issuanceTable([]), "nothing was issued that matches")
})
