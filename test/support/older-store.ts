import { createHash } from "node:crypto"
import { DatabaseSync } from "node:sqlite"
import { APPLICATION_ID, type Migration } from "../../src/adapters/sqlite/schema.ts"

/** A store as an earlier version left it, with `events` in its audit log. */
export function olderStore(path: string, migrations: readonly Migration[], events: number): void {
  using db = new DatabaseSync(path)
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
  db.exec("CREATE TABLE migration (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT")
  for (const { version, sql } of migrations) {
    db.exec(sql)
    const checksum = createHash("sha256").update(sql).digest("hex")
    db.prepare("INSERT INTO migration (version, checksum) VALUES (?, ?)").run(version, checksum)
  }
  db.exec(`PRAGMA user_version = ${migrations.length}`)
  const insert = db.prepare("INSERT INTO audit_event (at, type, actor, request_id, data) VALUES (?, ?, ?, ?, ?)")
  const data = '{"kind":"x509","spiffeId":"spiffe://prod.example/a","serial":"01","rule":"r","revision":"1"}'
  for (let i = 0; i < events; i++) insert.run(1_700_000_000 + i, "svid.granted", "unknown", `old-${i}`, data)
}
