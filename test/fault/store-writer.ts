import { openSqliteStore } from "../../src/adapters/sqlite/open-store.ts"
import { FIXTURE_NOW, fixtureGrant, fixtureIntent, NO_BANS } from "../support/issuance-fixtures.ts"

/** Writes intents, 16 at a time, until it is killed, and prints each serial once it was acknowledged. */
const [path = "", round = "", file] = process.argv.slice(2)
const auditFiles = { files: file === undefined ? [] : [file], trustDomain: "prod.example", patience: 5000 }
const store = await openSqliteStore({ path, mode: "open", auditFiles })
await Promise.all(Array.from({ length: 16 }, (_, lane) => write(lane)))

async function write(lane: number): Promise<never> {
  for (let i = 0; ; i++) {
    const serial = `${round}-${lane}-${i}`
    await store.issuanceLog.recordIntent(fixtureIntent(serial), fixtureGrant(serial), FIXTURE_NOW, NO_BANS)
    process.stdout.write(`${serial}\n`)
  }
}
