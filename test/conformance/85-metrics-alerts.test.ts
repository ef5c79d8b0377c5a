import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { parse } from "yaml"
import { z } from "zod"
import { openNamedCommands } from "../support/named-commands.ts"
import { scrapedMetrics, selectorsOf } from "../support/prometheus-metrics.ts"

const RULES = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Assay[A-Z]\w+$/),
          expr: z.string(),
          for: z
            .string()
            .regex(/^\d+[smh]$/)
            .optional(),
          labels: z.strictObject({ severity: z.enum(["page", "security", "warn"]) }),
          annotations: z.strictObject({
            summary: z.string().min(1),
            description: z.string().min(1),
            action: z.string().min(1),
          }),
        }),
      ),
    }),
  ),
})
const DASHBOARD = z.object({
  title: z.literal("Assay"),
  panels: z.array(
    z.object({
      id: z.int(),
      title: z.string(),
      gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
      targets: z.array(z.object({ expr: z.string() })).optional(),
    }),
  ),
})

test("[MET-04] alerts are of metrics and labels that there are, and each says what it means and what to do", async () => {
  const { groups } = RULES.parse(parse(await readFile("deploy/prometheus/assay.rules.yaml", "utf8")))
  const unknownCommands = await openNamedCommands()
  const rules = groups.flatMap((group) => group.rules)
  const names = rules.map(({ alert }) => alert)
  assert.equal(new Set(names).size, names.length)
  for (const { alert, expr, annotations } of rules) {
    assertKnown(alert, expr)
    for (const text of Object.values(annotations)) {
      for (const [, metric = ""] of text.matchAll(/\b(assay_\w+)/g)) assertKnown(alert, metric)
      assert.deepEqual(unknownCommands(text), [], alert)
    }
  }
})

test("[MET-04] the dashboard is of metrics and labels that there are, and its panels lie beside each other", async () => {
  const { panels } = DASHBOARD.parse(JSON.parse(await readFile("deploy/grafana/assay.json", "utf8")))
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const { title, targets = [] } of panels) for (const { expr } of targets) assertKnown(title, expr)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
    assert.ok(x + w <= 24)
    return Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`)
  })
  assert.equal(new Set(cells).size, cells.length)
})

function assertKnown(where: string, expression: string): void {
  for (const { metric, labels } of selectorsOf(expression)) {
    const known = METRICS.get(metric)
    assert.ok(known !== undefined, `${where}: there is no metric ${metric}`)
    for (const label of labels) assert.ok(known.has(label), `${where}: ${metric} has no label ${label}`)
  }
}

const METRICS = scrapedMetrics()
