import type { SdsLimits } from "./sds-service.ts"

/** What every SDS door has in common, on the agent's socket and on the server. @see XDS-01 XDS-08 */
export const SDS_BOUNDS = { names: 256, answerWithin: 5 } as const satisfies Partial<SdsLimits>
