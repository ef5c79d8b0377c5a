import assert from "node:assert/strict"
import { test } from "node:test"
import { isDnsName } from "../../../../src/core/x509/dns-name.ts"
import { parseIpAddress } from "../../../../src/core/x509/ip-address.ts"
import { checkName, encodeName } from "../../../../src/core/x509/names.ts"
import { parseSerial } from "../../../../src/core/x509/serial.ts"
import { assertRefused } from "../../../support/refused.ts"

test("an IP address is read from each of its forms", () => {
  const cases = {
    "10.0.255.1": "0a00ff01",
    "::": "0".repeat(32),
    "::1": `${"0".repeat(31)}1`,
    "2001:db8::FF": `20010db8${"0".repeat(22)}ff`,
    "1:2:3:4:5:6:7:8": "00010002000300040005000600070008",
    "::ffff:1.2.3.4": `${"0".repeat(20)}ffff01020304`,
    "1::": `0001${"0".repeat(28)}`,
  }
  for (const [text, hex] of Object.entries(cases)) assert.equal(Buffer.from(parseIpAddress(text)).toString("hex"), hex)
})

test("what is no IP address is refused", () => {
  const bad = [
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
  ]
  for (const text of [...bad, "::12345", "::g", "fe80::1%eth0", "1.2.3.4::", " ::1", "1:2:3:4:5:6:7::8"]) {
    assertRefused(() => parseIpAddress(text), "malformed", "name")
  }
})

test("a DNS name has labels of lower-case letters, digits and hyphens", () => {
  for (const name of ["a", "a-b.c1", "1a.b", `${"a".repeat(63)}.b`, "xn--bcher-kva.example"])
    assert.ok(isDnsName(name), name)
  for (const name of ["", ".", "a.", ".a", "-a", "a-", "*.a", "A", "a_b", "1.2.3.4", "a.1", "a b"]) {
    assert.ok(!isDnsName(name), name)
  }
})

test("a subject has bounded, printable parts", () => {
  checkName(encodeName({ organization: "Ünï", commonName: "a".repeat(64), serialNumber: "01ab" }))
  const bad = [{ commonName: "" }, { commonName: "a".repeat(65) }, { commonName: "a\0" }, { commonName: "\ud800" }]
  for (const name of [...bad, { commonName: "a", serialNumber: "_" }]) assert.throws(() => encodeName(name), RangeError)
})

test("a serial is read from its own hex form only", () => {
  for (const digits of [32, 36]) assert.equal(parseSerial(`01${"a".repeat(digits)}`), `01${"a".repeat(digits)}`)
  for (const hex of ["", `00${"a".repeat(32)}`, "A".repeat(34), "a".repeat(33), "a".repeat(36)]) {
    assertRefused(() => parseSerial(hex), "malformed", "serial")
  }
})
