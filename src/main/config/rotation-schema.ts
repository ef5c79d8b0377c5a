import { z } from "zod"
import { duration, percent } from "./units.ts"
import { label, setOf, text } from "./values.ts"

const canary = z
  .strictObject({
    namespaces: setOf(label(), { min: 0, max: 64 })
      .default([])
      .describe("Namespaces whose workloads get SVIDs of the new root first. Default: none."),
    prefixes: setOf(text(2048), { min: 0, max: 64 })
      .default([])
      .describe("SPIFFE IDs that get them first, with everything below them. Default: none."),
    soak: duration({ min: "0s", max: "30d" })
      .prefault("10m")
      .describe("How long the canaries run at least before everybody follows. Default 10m."),
  })
  .prefault({})
  .describe("Who is first. Without namespaces and prefixes there is no such phase.")

export const rotationSchema = z
  .strictObject({
    mode: z
      .enum(["manual", "auto"])
      .default("manual")
      .describe(
        "Whether steps of the root that need a decision wait for an operator, or are taken on evidence. A refusal ends auto. Default manual.",
      ),
    after: percent({ min: 10, max: 90 })
      .optional()
      .describe("Rotate the root after this share of its life, without anybody asking. Default: only when asked."),
    skew: duration({ min: "0s", max: "10m" })
      .prefault("30s")
      .describe("By how much the clocks of verifiers may differ: what expired for less counts as alive. Default 30s."),
    reader_wait: duration({ min: "0s", max: "30d" })
      .prefault("0s")
      .describe(
        "Wait this long for readers of bundles that cannot answer, such as federated peers; for JWT keys at least jwt.publish_ahead. Default 0s.",
      ),
    wave_share: percent({ min: 1, max: 100 })
      .prefault("20%")
      .describe("Part of the workloads that each wave of renewals adds. Default 20%."),
    wave_interval: duration({ min: "1s", max: "1d" })
      .prefault("30s")
      .describe("Time from one wave to the next. Default 30s."),
    canary,
  })
  .prefault({})
  .describe("How the root and, where it says so, JWT keys are rotated. Reloadable.")
