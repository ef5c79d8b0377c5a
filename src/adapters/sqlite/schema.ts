export interface Migration {
  readonly version: number
  readonly sql: string
}

/** "ASAY": tells our files from other SQLite databases. */
export const APPLICATION_ID = 0x41534159

/** Applied in order, never edited once released: the checksum of each is kept in the store and compared at every start. */
export const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    sql: `
CREATE TABLE intent (
  id INTEGER PRIMARY KEY,
  serial TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('x509', 'jwt')),
  authority_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  spiffe_id TEXT NOT NULL,
  hint TEXT NOT NULL,
  rule TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  service_account TEXT NOT NULL,
  pod TEXT NOT NULL,
  pod_uid TEXT NOT NULL,
  node TEXT NOT NULL,
  evidence_digest BLOB NOT NULL,
  idempotency_key BLOB,
  tbs BLOB NOT NULL
) STRICT;
CREATE INDEX intent_spiffe_id ON intent (spiffe_id);
CREATE INDEX intent_pod ON intent (cluster, namespace, pod);
CREATE INDEX intent_created_at ON intent (created_at);

CREATE TABLE outcome (
  intent_id INTEGER PRIMARY KEY,
  signature BLOB NOT NULL
) STRICT;

CREATE TABLE audit_event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;

CREATE TABLE authority (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT;

CREATE TABLE issuing_authority (
  authority_id TEXT PRIMARY KEY,
  certificate BLOB NOT NULL,
  root_key_id TEXT NOT NULL,
  not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE commit_mark (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  mark TEXT NOT NULL
) STRICT;
INSERT INTO commit_mark (id, mark) VALUES (1, '');
`,
  },
  {
    version: 2,
    sql: `
CREATE TABLE spent_proof (
  use TEXT NOT NULL,
  id BLOB NOT NULL,
  holder BLOB NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (use, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_proof_until ON spent_proof (until);

CREATE TABLE revocation (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('token', 'subject')),
  name TEXT NOT NULL,
  issued_until INTEGER NOT NULL,
  until INTEGER NOT NULL,
  UNIQUE (kind, name)
) STRICT;
CREATE INDEX revocation_until ON revocation (until);
`,
  },
  {
    version: 3,
    sql: `
CREATE INDEX intent_authority ON intent (authority_id, not_after);

CREATE TABLE consumer (
  id TEXT PRIMARY KEY,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  service_account TEXT NOT NULL,
  pod TEXT NOT NULL,
  pod_uid TEXT NOT NULL,
  node TEXT NOT NULL,
  proof TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('sds', 'workload-api', 'file', 'agent')),
  nack_reason TEXT,
  not_after INTEGER NOT NULL,
  last_contact INTEGER NOT NULL,
  left_at INTEGER
) STRICT, WITHOUT ROWID;
`,
  },
  {
    version: 4,
    sql: `
ALTER TABLE audit_event ADD COLUMN hash BLOB;
CREATE INDEX audit_event_sealed ON audit_event (seq) WHERE type = 'audit.sealed';
CREATE INDEX audit_event_started ON audit_event (seq) WHERE type = 'audit.started';
`,
  },
  {
    version: 5,
    sql: `
CREATE TABLE ban (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('identity', 'prefix', 'cluster', 'namespace', 'node', 'pod', 'key')),
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  until INTEGER,
  lifted_at INTEGER,
  UNIQUE (kind, name)
) STRICT;
`,
  },
  {
    version: 6,
    sql: `
CREATE TABLE lineage (
  id INTEGER PRIMARY KEY,
  pod_uid TEXT NOT NULL,
  spiffe_id TEXT NOT NULL,
  cluster TEXT NOT NULL,
  current TEXT NOT NULL,
  previous TEXT NOT NULL,
  key TEXT NOT NULL,
  not_after INTEGER NOT NULL,
  broken INTEGER NOT NULL CHECK (broken IN (0, 1))
) STRICT;
CREATE INDEX lineage_owner ON lineage (pod_uid, spiffe_id, cluster);
ALTER TABLE intent ADD COLUMN lineage INTEGER;
`,
  },
  {
    version: 7,
    sql: `
DROP INDEX intent_authority;
CREATE INDEX intent_of_issuer ON intent (authority_id, not_after / 256) WHERE kind = 'x509';
CREATE INDEX intent_of_jwt_key ON intent (authority_id, not_after) WHERE kind = 'jwt';
`,
  },
  {
    version: 8,
    sql: `
CREATE TABLE proposal (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  operation TEXT NOT NULL,
  request TEXT NOT NULL,
  digest TEXT NOT NULL,
  target TEXT NOT NULL,
  proposer TEXT NOT NULL,
  role TEXT NOT NULL,
  over TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  outcome TEXT CHECK (outcome IN ('approved', 'rejected', 'stale')),
  decided_by TEXT,
  decided_at INTEGER
) STRICT;
`,
  },
  {
    version: 9,
    sql: `
ALTER TABLE proposal ADD COLUMN request_id TEXT;
ALTER TABLE proposal ADD COLUMN execution TEXT CHECK (execution IN ('done', 'failed', 'unknown'));
ALTER TABLE proposal ADD COLUMN executed_at INTEGER;
ALTER TABLE proposal ADD COLUMN failure TEXT;
UPDATE proposal SET execution = 'unknown', executed_at = decided_at, failure = '' WHERE outcome = 'approved';
CREATE INDEX audit_event_operated ON audit_event (request_id)
WHERE type = 'rotation.changed' OR type = 'ban.added' OR type = 'ban.lifted';
`,
  },
  {
    version: 10,
    sql: `
CREATE TABLE recipient (
  id INTEGER PRIMARY KEY,
  spiffe_id TEXT NOT NULL,
  hint TEXT NOT NULL,
  rule TEXT NOT NULL,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  service_account TEXT NOT NULL,
  pod TEXT NOT NULL,
  pod_uid TEXT NOT NULL,
  node TEXT NOT NULL
) STRICT;
INSERT INTO recipient
SELECT min(id), spiffe_id, hint, rule, cluster, namespace, service_account, pod, pod_uid, node FROM intent
GROUP BY spiffe_id, hint, rule, cluster, namespace, service_account, pod, pod_uid, node;
CREATE INDEX recipient_pod ON recipient (cluster, namespace, pod, spiffe_id);
CREATE INDEX recipient_spiffe_id ON recipient (spiffe_id);

CREATE TABLE intent_of_recipient (
  id INTEGER PRIMARY KEY,
  recipient INTEGER NOT NULL,
  serial TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('x509', 'jwt')),
  authority_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  evidence_digest BLOB NOT NULL,
  idempotency_key BLOB,
  tbs BLOB NOT NULL,
  lineage INTEGER
) STRICT;
INSERT INTO intent_of_recipient
SELECT intent.id, recipient.id, serial, kind, authority_id, epoch, not_before, not_after, created_at, evidence_digest,
  idempotency_key, tbs, lineage
FROM intent CROSS JOIN recipient USING (cluster, namespace, pod, spiffe_id, hint, rule, service_account, pod_uid, node)
ORDER BY intent.id;
DROP TABLE intent;
ALTER TABLE intent_of_recipient RENAME TO intent;
CREATE INDEX intent_recipient ON intent (recipient);
CREATE INDEX intent_created_at ON intent (created_at);
CREATE INDEX intent_of_issuer ON intent (authority_id, not_after / 256) WHERE kind = 'x509';
CREATE INDEX intent_of_jwt_key ON intent (authority_id, not_after) WHERE kind = 'jwt';
`,
  },
  {
    version: 11,
    sql: `
CREATE TABLE federated_bundle (
  trust_domain TEXT PRIMARY KEY,
  incarnation TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  refresh_hint INTEGER,
  authorities TEXT NOT NULL,
  accepted_at INTEGER NOT NULL
) STRICT;
`,
  },
]
