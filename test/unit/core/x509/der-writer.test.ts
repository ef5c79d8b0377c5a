import assert from "node:assert/strict"
import { test } from "node:test"
import { encodeDer, encodeSequence, TAG } from "../../../../src/core/x509/der.ts"
import { DerWriter } from "../../../../src/core/x509/der-writer.ts"

test("writes what encodeDer writes, for every length of a header", () => {
  for (const length of [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000]) {
    const content = new Uint8Array(length).fill(7)
    const writer = new DerWriter(length + 20)
    const end = writer.end
    writer.put(content)
    writer.wrap(TAG.octetString, end)
    writer.put(Uint8Array.of(5, 0))
    writer.wrap(TAG.sequence, end)
    assert.deepEqual(writer.finish(), encodeSequence(Uint8Array.of(5, 0), encodeDer(TAG.octetString, content)))
  }
})

test("writes octets and text before what was written", () => {
  const writer = new DerWriter(4)
  writer.putOctet(0x7a)
  writer.putAscii("xy")
  assert.deepEqual(writer.finish(), Uint8Array.of(0x78, 0x79, 0x7a))
  assert.throws(() => writer.putAscii("vw"), RangeError)
  writer.putOctet(1)
  assert.throws(() => writer.putOctet(2), RangeError)
  assert.deepEqual(writer.finish(), Uint8Array.of(1, 0x78, 0x79, 0x7a))
})

test("refuses what goes beyond its capacity", () => {
  assert.throws(() => new DerWriter(3).put(new Uint8Array(4)), RangeError)
  const writer = new DerWriter(3)
  const end = writer.end
  writer.put(new Uint8Array(2))
  assert.throws(() => writer.wrap(TAG.sequence, end), RangeError)
})
