import type { JsonEvent } from "./json-lines.ts"

/** The SPIFFE IDs in an "x509" or "update" event of a Workload API client, in order. */
export function eventIds(event: JsonEvent): string[] {
  return field(event, "id")
}

/** The serial numbers, hex, in the same order. */
export function eventSerials(event: JsonEvent): string[] {
  return field(event, "serial")
}

function field(event: JsonEvent, name: string): string[] {
  const svids: unknown = event["svids"]
  if (!Array.isArray(svids)) return []
  return svids.map((svid: unknown) => {
    const value: unknown = typeof svid === "object" && svid !== null ? Reflect.get(svid, name) : undefined
    if (typeof value !== "string") throw new TypeError(`an SVID without ${name}: ${JSON.stringify(event)}`)
    return value
  })
}
