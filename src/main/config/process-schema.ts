import { z } from "zod"
import { duration } from "./units.ts"
import { path } from "./values.ts"

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

/** Where else audit records go; see `spec/80-audit.md` for what that costs and what it finds. */
export const audit = z
  .strictObject({
    sinks: z
      .array(
        z.strictObject({
          file: path().describe(
            "File to append to, as JSON lines; rename it to rotate. A named pipe will do, but keeps nothing.",
          ),
        }),
      )
      .max(4)
      .default([])
      .describe(
        "Files that must have a record before anybody hears of it: one of them at least, else nothing is issued. Default: none, the store alone.",
      ),
  })
  .prefault({})
  .describe("Copies of the audit log outside of the store.")
