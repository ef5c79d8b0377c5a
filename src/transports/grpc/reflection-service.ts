import { readFileSync } from "node:fs"
import type { Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js"
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader"
import { ReflectionService } from "@grpc/reflection"
import type { GrpcService } from "./listen.ts"

/** gRPC server reflection (v1 and v1alpha) for `services`, full names. @see WE-12 */
export function makeReflectionServices(services: readonly string[]): readonly GrpcService[] {
  const descriptors = loadFileDescriptorSetFromBuffer(
    readFileSync(new URL("../../gen/descriptors.binpb", import.meta.url)),
  )
  const collected: GrpcService[] = []
  const collector: Pick<Server, "addService"> = {
    addService: (definition: ServiceDefinition, implementation: UntypedServiceImplementation) => {
      collected.push({ definition, implementation })
    },
  }
  new ReflectionService(descriptors, { services: [...services] }).addToServer(collector)
  return collected
}
