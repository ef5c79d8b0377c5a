import { z } from "zod"
import { duration } from "./units.ts"

/** Log of any Assay process. */
export const log = z
  .strictObject({
    level: z
      .enum(["debug", "info", "warn", "error"])
      .default("info")
      .describe("Least level that is written. Default info."),
  })
  .prefault({})
  .describe("The log, JSON lines on stderr. Reloadable.")

/** Shutdown of any Assay process. */
export const drain = z
  .strictObject({
    timeout: duration({ min: "0s", max: "10m" })
      .prefault("10s")
      .describe("How long calls that run may take to finish after SIGTERM. Default 10s."),
  })
  .prefault({})
  .describe("Shutdown.")
