import type { Log } from "../../src/ports/telemetry.ts"

/** A log that keeps nothing. */
export const quietLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
