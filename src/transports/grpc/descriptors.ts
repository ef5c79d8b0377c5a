import { BinaryReader } from "@bufbuild/protobuf/wire"

/** One .proto file of a descriptor set, as far as reflection needs it. */
export interface DescribedFile {
  readonly name: string
  readonly imports: readonly string[]
  /** Full names of its services, methods, messages and enums. */
  readonly symbols: readonly string[]
  /** Serialized FileDescriptorProto. */
  readonly bytes: Uint8Array
}

/** Read a serialized FileDescriptorSet, such as `buf build` writes. */
export function readDescriptorSet(bytes: Uint8Array): readonly DescribedFile[] {
  return fieldsOf(bytes).flatMap(({ number, value }) => (number === SET.file ? [describeFile(value)] : []))
}

function describeFile(bytes: Uint8Array): DescribedFile {
  const fields = fieldsOf(bytes)
  const texts = (number: number) => fields.filter((field) => field.number === number).map(({ value }) => text(value))
  const scope = texts(FILE.package)[0] ?? ""
  const symbols = fields.flatMap(({ number, value }) => {
    if (number === FILE.message) return messageSymbols(value, scope)
    if (number === FILE.enum) return [join(scope, nameOf(value))]
    return number === FILE.service ? serviceSymbols(value, scope) : []
  })
  return { name: texts(FILE.name)[0] ?? "", imports: texts(FILE.import), symbols, bytes }
}

function messageSymbols(bytes: Uint8Array, scope: string): readonly string[] {
  const full = join(scope, nameOf(bytes))
  const inner = fieldsOf(bytes).flatMap(({ number, value }) => {
    if (number === MESSAGE.nested) return messageSymbols(value, full)
    return number === MESSAGE.enum ? [join(full, nameOf(value))] : []
  })
  return [full, ...inner]
}

function serviceSymbols(bytes: Uint8Array, scope: string): readonly string[] {
  const full = join(scope, nameOf(bytes))
  const methods = fieldsOf(bytes).filter(({ number }) => number === SERVICE.method)
  return [full, ...methods.map(({ value }) => join(full, nameOf(value)))]
}

/** `name` is field 1 of every descriptor. */
function nameOf(bytes: Uint8Array): string {
  const name = fieldsOf(bytes).find(({ number }) => number === FILE.name)
  return name === undefined ? "" : text(name.value)
}

function join(scope: string, name: string): string {
  return scope === "" ? name : `${scope}.${name}`
}

/** The length-delimited fields of a message, in order. */
function fieldsOf(bytes: Uint8Array): readonly { readonly number: number; readonly value: Uint8Array }[] {
  const reader = new BinaryReader(bytes)
  const fields: { number: number; value: Uint8Array }[] = []
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (type === LENGTH_DELIMITED) fields.push({ number, value: reader.bytes() })
    else reader.skip(type, number)
  }
  return fields
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8")
}

// Field numbers of google/protobuf/descriptor.proto.
const SET = { file: 1 } as const
const FILE = { name: 1, package: 2, import: 3, message: 4, enum: 5, service: 6 } as const
const MESSAGE = { nested: 3, enum: 4 } as const
const SERVICE = { method: 2 } as const
const LENGTH_DELIMITED = 2
