import { readFileSync } from "node:fs"
import type { ServerDuplexStream } from "@grpc/grpc-js"
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from "../../gen/grpc/reflection/v1/reflection.ts"
import { type DescribedFile, readDescriptorSet } from "./descriptors.ts"
import type { GrpcService } from "./listen.ts"

type Stream = ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>
type Answer = Exclude<ServerReflectionResponse["messageResponse"], undefined>

/**
 * gRPC server reflection, v1 and v1alpha, for `services` (full names). The descriptors are read at the first question: most
 * servers are never asked. @see WE-12
 */
export function makeReflectionServices(services: readonly string[]): readonly GrpcService[] {
  let index: ReadonlyMap<string, DescribedFile> | undefined
  const serve = (stream: Stream) => {
    index ??= readIndex()
    const files = index
    stream.on("data", (request: ServerReflectionRequest) => {
      const messageResponse = answer(request, services, files)
      stream.write({ validHost: request.host, originalRequest: request, messageResponse })
    })
    stream.on("end", () => stream.end())
    stream.on("error", () => stream.end())
  }
  const { serverReflectionInfo } = ServerReflectionService
  const path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
  const alpha = { serverReflectionInfo: { ...serverReflectionInfo, path } }
  const implementation = { serverReflectionInfo: serve }
  return [
    { definition: ServerReflectionService, implementation },
    { definition: alpha, implementation },
  ]
}

function answer(
  { messageRequest }: ServerReflectionRequest,
  services: readonly string[],
  files: ReadonlyMap<string, DescribedFile>,
): Answer {
  if (messageRequest === undefined) return invalid("empty request")
  switch (messageRequest.$case) {
    case "listServices":
      return { $case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } }
    case "fileByFilename":
    case "fileContainingSymbol": {
      const file = files.get(messageRequest.value)
      return file === undefined ? notFound("no such file or symbol") : withImports(file, files)
    }
    case "fileContainingExtension":
    case "allExtensionNumbersOfType":
      return notFound("there are no extensions here")
    default:
      return messageRequest satisfies never
  }
}

function withImports(file: DescribedFile, files: ReadonlyMap<string, DescribedFile>): Answer {
  const found = new Map([[file.name, file]])
  // A map is walked to what is added meanwhile.
  for (const { imports } of found.values()) {
    for (const name of imports) {
      const imported = files.get(name)
      if (imported !== undefined) found.set(name, imported)
    }
  }
  const fileDescriptorProto = [...found.values()].map(({ bytes }) => Buffer.from(bytes))
  return { $case: "fileDescriptorResponse", value: { fileDescriptorProto } }
}

/** Files by name, and by every symbol that stands in them. */
function readIndex(): ReadonlyMap<string, DescribedFile> {
  const set = readDescriptorSet(readFileSync(new URL("../../gen/descriptors.binpb", import.meta.url)))
  return new Map(set.flatMap((file) => [file.name, ...file.symbols].map((key) => [key, file] as const)))
}

function invalid(errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode: INVALID_ARGUMENT, errorMessage } }
}

function notFound(errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode: NOT_FOUND, errorMessage } }
}

const NOT_FOUND = 5
const INVALID_ARGUMENT = 3
