import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { appendFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { passSecrets } from "../support/secret-doors.ts"
import { PLANTED_FORMS } from "../support/secret-hunt.ts"
import { MARKER, openSecretWorld } from "../support/secret-world.ts"

test("[AUD-07] no secret that passed through a door is in any output of server or agent, in any form", async (t) => {
  await using world = await openSecretWorld(t)
  await passSecrets(world)
  const { hunt, setup } = world
  const outputs = await world.outputs()
  assert.deepEqual(hunt.search(outputs), [])
  assert.ok(hunt.names.length > 60, `${hunt.names.length} secrets`)

  // What is no secret is found in each of these places: they were read, and what passed the doors was written there.
  const marked = new Set(outputs.filter(({ bytes }) => Buffer.from(bytes).includes(MARKER)).map(({ place }) => place))
  const { bytes: log } = outputs.find(({ place }) => place === "file agent.log") ?? assert.fail()
  assert.match(Buffer.from(log).toString(), /agent listens/)
  for (const place of MARKED) assert.ok(marked.has(place), `${place} does not name the caller`)

  // And a secret that does get out is found, whichever form it has.
  for (const [form, plant] of Object.entries(PLANTED_FORMS)) {
    const secret = randomBytes(32)
    hunt.add("planted", secret)
    await appendFile(join(setup.folder, "server.log"), plant(secret))
    await writeFile(join(setup.folder, "audit.copy"), plant(secret))
    const found = new Set(hunt.search(await world.files()).map(({ name, place }) => `${name} in ${place}`))
    assert.deepEqual([...found].sort(), ["planted in file audit.copy", "planted in file server.log"], form)
  }
})

const MARKED = [
  "file server.log",
  "file audit.jsonl",
  "file assay.db-wal",
  "table audit_event",
  "table intent",
  "assay audit export",
  "assay audit search",
  "assay log search",
  "admin /admin/v1/issuances",
  "admin /admin/v1/consumers",
]
