import { createHash } from "node:crypto"
import { BinaryWriter } from "@bufbuild/protobuf/wire"
import { SecretDiscoveryServiceService } from "../../gen/envoy/service/secret/v3/sds.ts"
import { SECRET_TYPE } from "./secret-encoder.ts"
import type { EncodedSecret } from "./secret-set.ts"
import type { Reply } from "./session.ts"

/** The generated service, but for responses, which are written as bytes: every stream shares one encoding of a secret. */
export const SDS_DEFINITION = {
  streamSecrets: { ...SecretDiscoveryServiceService.streamSecrets, responseSerialize: asIs },
  deltaSecrets: { ...SecretDiscoveryServiceService.deltaSecrets, responseSerialize: asIs },
  fetchSecrets: { ...SecretDiscoveryServiceService.fetchSecrets, responseSerialize: asIs },
}

/** A DiscoveryResponse; its version is that of its one secret, or is derived from those of its secrets. */
export function encodeDiscoveryResponse({ nonce, secrets }: Pick<Reply, "nonce" | "secrets">): Buffer {
  const writer = WRITER.uint32(tag(1)).string(versionOf(secrets))
  for (const secret of secrets) writer.uint32(tag(2)).bytes(secret.resource)
  writer.uint32(tag(4)).string(SECRET_TYPE)
  if (nonce !== "") writer.uint32(tag(5)).string(nonce)
  return asBuffer(writer.finish())
}

/** A DeltaDiscoveryResponse. */
export function encodeDeltaResponse({ nonce, secrets, removed }: Reply): Buffer {
  const writer = WRITER.uint32(tag(1)).string(versionOf(secrets))
  for (const { version, resource, name } of secrets) {
    writer.uint32(tag(2)).fork()
    writer.uint32(tag(1)).string(version).uint32(tag(2)).bytes(resource).uint32(tag(3)).string(name).join()
  }
  writer.uint32(tag(4)).string(SECRET_TYPE).uint32(tag(5)).string(nonce)
  for (const name of removed) writer.uint32(tag(6)).string(name)
  return asBuffer(writer.finish())
}

/** Independent of the order of subscription. */
function versionOf(secrets: readonly EncodedSecret[]): string {
  const [first, ...more] = secrets.map(({ version }) => version).toSorted()
  if (first === undefined) return ""
  if (more.length === 0) return first
  return createHash("sha256")
    .update([first, ...more].join())
    .digest("hex")
    .slice(0, first.length)
}

/** The tag of a length-delimited field. */
function tag(field: number): number {
  return (field << 3) | 2
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function asIs(bytes: Buffer): Buffer {
  return bytes
}

/** Empty between responses. One for all, as it keeps its room: one that grows anew for each of thousands costs more memory than the streams. */
const WRITER = new BinaryWriter()
