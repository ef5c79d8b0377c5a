import { Metadata, type ServiceError } from "@grpc/grpc-js"

/** True for what grpc-js throws when a call ended with another status than OK. */
export function isServiceError(thrown: unknown): thrown is ServiceError {
  if (!(thrown instanceof Error) || !("code" in thrown) || !("details" in thrown) || !("metadata" in thrown))
    return false
  return typeof thrown.code === "number" && typeof thrown.details === "string" && thrown.metadata instanceof Metadata
}
