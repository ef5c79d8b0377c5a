import { z } from "zod"
import { HTTP_STATUS } from "../http/problem.ts"
import { proposed } from "./approval-contracts.ts"
import { type Contract, wireRequest } from "./contract.ts"

/** The OpenAPI 3.1 document of these operations, made from their schemas. @see ADM-15 */
export function openApiDocument(contracts: readonly Contract[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const contract of contracts) {
    const path = `/admin/v1${contract.path}`
    paths[path] = { ...paths[path], [contract.method.toLowerCase()]: operationOf(contract) }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Assay admin API",
      version: "v1",
      description:
        "For operators of a running server. Every request needs the header assay-admin: 1 and no Origin. On the local socket the kernel says who asks; at listen.admin an X.509-SVID of the connection does, or a bearer token.",
    },
    security: [{}, { svid: [] }, { token: [] }],
    paths,
    components: {
      schemas: { Problem: PROBLEM },
      responses: { Problem: problemResponse(), Proposed: proposedResponse() },
      securitySchemes: { svid: { type: "mutualTLS" }, token: { type: "http", scheme: "bearer" } },
    },
  }
}

function operationOf(contract: Contract): object {
  const request = jsonSchema(wireRequest(contract), "input")
  const inPath = [...contract.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => String(name))
  const inQuery =
    contract.method === "GET" ? Object.keys(request.properties).filter((name) => !inPath.includes(name)) : []
  return {
    operationId: contract.name,
    summary: contract.summary,
    description: `Needs the verb ${contract.verb}.${contract.destructive === true ? " Only tried unless dry_run is false." : ""}`,
    parameters: [
      { name: "assay-admin", in: "header", required: true, schema: { const: "1" } },
      ...inPath.map((name) => ({ name, in: "path", required: true, schema: request.properties[name] ?? {} })),
      ...inQuery.map((name) => {
        return { name, in: "query", required: request.required.includes(name), schema: request.properties[name] ?? {} }
      }),
    ],
    ...(contract.method === "GET" ? {} : { requestBody: bodyOf(request, inPath) }),
    responses: {
      200: {
        description: "Done.",
        content: { "application/json": { schema: jsonSchema(contract.response, "output") } },
      },
      ...(contract.method === "GET" ? {} : { 202: { $ref: "#/components/responses/Proposed" } }),
      default: { $ref: "#/components/responses/Problem" },
    },
  }
}

function bodyOf(request: ObjectSchema, inPath: readonly string[]): object {
  const properties = Object.entries(request.properties).filter(([name]) => !inPath.includes(name))
  const required = request.required.filter((name) => !inPath.includes(name))
  const schema = { type: "object", properties: Object.fromEntries(properties), additionalProperties: false }
  return {
    required: required.length > 0,
    content: { "application/json": { schema: required.length === 0 ? schema : { ...schema, required } } },
  }
}

interface ObjectSchema {
  readonly properties: Readonly<Record<string, unknown>>
  readonly required: readonly string[]
}

/** Without the names of dialects that OpenAPI implies. */
function jsonSchema(schema: z.ZodObject, io: "input" | "output"): ObjectSchema {
  const { $schema: _, properties = {}, required = [], ...rest } = z.toJSONSchema(schema, { io })
  return { ...rest, properties, required }
}

function proposedResponse(): object {
  const schema = jsonSchema(z.strictObject({ proposal: proposed }), "output")
  return {
    description: "Nothing is done yet: somebody else has to approve it.",
    content: { "application/json": { schema } },
  }
}

function problemResponse(): object {
  const statuses = [...new Set<number>(Object.values(HTTP_STATUS))].sort((a, b) => a - b).join(", ")
  return {
    description: `Refused or failed: one of ${statuses}.`,
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  }
}

/** RFC 9457, as `transports/http` writes it. */
const PROBLEM = {
  type: "object",
  required: ["type", "title", "status", "detail", "code", "reason", "request_id"],
  properties: {
    type: { const: "about:blank" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { enum: Object.keys(HTTP_STATUS) },
    reason: { type: "string", description: "Stable, and finer than code." },
    request_id: { type: "string" },
    next: { type: "string", description: "What the caller can do about it." },
  },
}
