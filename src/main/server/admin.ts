import { lstat } from "node:fs/promises"
import { dirname } from "node:path"
import packageJson from "../../../package.json" with { type: "json" }
import type { ServerMetrics } from "../../adapters/metrics/registry.ts"
import { openPeerCredentials, type PeerOf } from "../../adapters/unix-peer/peer-credentials.ts"
import { makeDescribeServer } from "../../app/admin/describe-server.ts"
import type { ProveAccessToken } from "../../app/attest/prove-access-token.ts"
import type { RecordRefusals } from "../../app/audit/record-refusals.ts"
import type { Subscribers } from "../../app/deliver/consumers.ts"
import type { FederatedFacts } from "../../app/federate/federated-trust.ts"
import { makeListConsumers } from "../../app/rotate/list-consumers.ts"
import type { ReadEvidence } from "../../app/rotate/read-evidence.ts"
import { IdentityError } from "../../core/errors.ts"
import type { Clock } from "../../ports/clock.ts"
import type { Random } from "../../ports/random.ts"
import type { Log } from "../../ports/telemetry.ts"
import { type AdminRoutesDeps, addAdminRoutes } from "../../transports/admin/admin-routes.ts"
import { approvalOperations } from "../../transports/admin/approval-operations.ts"
import { type Approvals, makeApprovals } from "../../transports/admin/approvals.ts"
import { auditOperations } from "../../transports/admin/audit-operations.ts"
import { banOperations } from "../../transports/admin/ban-operations.ts"
import { consumerOperations } from "../../transports/admin/consumer-operations.ts"
import { CONTRACTS } from "../../transports/admin/contracts.ts"
import { issuanceOperations } from "../../transports/admin/issuance-operations.ts"
import type { Operation } from "../../transports/admin/operation.ts"
import { makePerform, type Perform } from "../../transports/admin/perform.ts"
import { shownCredentials } from "../../transports/admin/remote-caller.ts"
import { rotationOperations } from "../../transports/admin/rotation-operations.ts"
import { statusOperations } from "../../transports/admin/status-operations.ts"
import { HttpsServer } from "../../transports/http/https-server.ts"
import { type HttpListener, listenHttp } from "../../transports/http/listen.ts"
import { makeLocalServer } from "../../transports/http/local-server.ts"
import { adminSocketPath } from "../admin-socket-path.ts"
import { openSocketTo, prepareSocketPath } from "../agent-socket.ts"
import { openAdminCallers } from "./admin-callers.ts"
import { makeAdminEvents } from "./admin-events.ts"
import { makeAdminRoles } from "./admin-roles.ts"
import { makeBanUses } from "./bans.ts"
import type { LiveConfig } from "./live-config.ts"
import { makeRequestIds, type Pipeline } from "./pipeline.ts"
import { makePrivateFolder } from "./private-folder.ts"
import type { ServerRotations } from "./rotation.ts"
import type { KeptTls } from "./serving-certificate.ts"
import type { ServerState } from "./state.ts"

export interface AdminDeps {
  readonly pipeline: Pipeline
  readonly state: ServerState
  readonly refusals: Pick<RecordRefusals, "login" | "operation">
  readonly subscribers: Subscribers
  readonly rotations: ServerRotations
  /** The same that rotations rely on. */
  readonly evidence: ReadEvidence
  readonly ready: () => boolean
  readonly federation: () => readonly FederatedFacts[]
  readonly live: () => LiveConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: ServerMetrics
  readonly serving: Pick<KeptTls, "certificate" | "follow">
  /** Of the token endpoint, when there is one. */
  readonly proveAccessToken: ProveAccessToken | undefined
}

export interface AdminApi extends AsyncDisposable {
  readonly socket: string
  /** Of the remote door, when it is configured. */
  readonly port: number | undefined
  readonly operations: readonly Operation[]
  readonly perform: Perform
}

/** Serve the admin API on its local socket, and to those far away when that is configured. @throws IdentityError when it cannot, or when its folder is not safe */
export async function openAdmin(deps: AdminDeps): Promise<AdminApi> {
  const { live, state, clock, log, metrics, refusals } = deps
  const events = makeAdminEvents(log, metrics)
  const roles = makeAdminRoles(() => live().config, process.getuid?.() ?? NOBODY)
  const approvals = makeApprovals({
    terms: () => live().config.admin.approval,
    operations: () => operations,
    roles,
    log: state.store.proposalLog,
    unsettled: events.unsettled,
    clock,
    random: deps.random,
  })
  const operations = operationsOf(deps, approvals)
  await using stack = new AsyncDisposableStack()
  const audit = state.store.auditLog
  const perform = makePerform({ roles, audit, refusals, clock, events, approvals })
  const routes = { operations, perform, events, refusals }
  const local = await listenLocally(deps, routes)
  stack.use(local.listener)
  const remote = await listenRemotely(deps, routes)
  if (remote !== undefined) stack.use(remote)
  const moved = stack.move()
  const port = remote?.port
  return { socket: local.socket, port, operations, perform, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

type Routes = Pick<AdminRoutesDeps, "operations" | "perform" | "events" | "refusals">

async function listenLocally(deps: AdminDeps, routes: Routes) {
  const { config } = deps.live()
  const { connections, socketMode } = config.admin
  const socket = await prepareAdminSocket(adminSocketPath(config))
  let peers: Promise<PeerOf> | undefined
  const at = { at: { path: socket }, server: makeLocalServer(connections) }
  const listener = await listenHttp({ ...at, ...listenOptions(deps) }, (app) => {
    addAdminRoutes(app, {
      ...routes,
      maxRequests: connections,
      authenticate: async ({ raw }) => {
        peers ??= openPeerCredentials()
        return { kind: "peer", ...(await peers)(raw.socket) }
      },
    })
  })
  await openSocketTo(socket, socketMode)
  return { socket, listener }
}

/** `undefined` when it is not configured. @see ADM-16 ADM-19 */
async function listenRemotely(deps: AdminDeps, routes: Routes): Promise<HttpListener | undefined> {
  const { listen, admin, limits } = deps.live().config
  if (listen.admin === undefined) return undefined
  const { connections } = admin
  const https = new HttpsServer(deps.serving.certificate(), {
    headerBytes: limits.headerSize,
    connections,
    requestsPerConnection: REQUESTS_PER_CONNECTION,
  })
  deps.serving.follow(https)
  const known = openAdminCallers(deps)
  return listenHttp({ at: listen.admin, server: https.server, ...listenOptions(deps) }, (app) => {
    addAdminRoutes(app, {
      ...routes,
      maxRequests: connections,
      challenge: "Bearer",
      authenticate: async ({ raw }, proven, signal) => known(shownCredentials(raw), proven, signal),
    })
  })
}

function listenOptions({ live, random, log }: AdminDeps) {
  return {
    newRequestId: makeRequestIds(random),
    onBug: (err: IdentityError, requestId: string) => log.error({ err, requestId }, "an admin request failed by a bug"),
    drain: live().config.drain.timeout * 1000,
  }
}

/** Every operation with its use case. Add yours here, and its contract to {@link CONTRACTS}. */
function operationsOf(deps: AdminDeps, approvals: Approvals): readonly Operation[] {
  const { pipeline, state, subscribers, rotations, evidence, ready, live, clock } = deps
  const { trust, issuing } = pipeline
  const describe = makeDescribeServer({
    version: packageJson.version,
    trust,
    issuing,
    subscribers: () => subscribers.rows,
    ready,
    federation: deps.federation,
    rulesRevision: () => live().config.rules.revision,
    clock,
  })
  const operations = [
    ...statusOperations(describe),
    ...issuanceOperations(state.store.issuanceLog),
    ...auditOperations(state.store.auditSearch, trust.record().trustDomain),
    ...consumerOperations(makeListConsumers(evidence)),
    ...rotationOperations(rotations),
    ...banOperations(makeBanUses(deps)),
    ...approvalOperations(approvals, clock),
  ]
  const bound = new Set(operations.map(({ contract }) => contract))
  const missing = CONTRACTS.filter((contract) => !bound.has(contract))
  if (missing.length > 0 || bound.size !== CONTRACTS.length) throw new TypeError("operations are not the contracts")
  return operations
}

/** Whoever can write the folder can put a socket of his own there, and be taken for the server. @see ADM-11 */
async function prepareAdminSocket(path: string): Promise<string> {
  const folder = dirname(path)
  await makePrivateFolder(folder, "admin.socket")
  const { mode, uid } = await lstat(folder)
  const trusted = uid === 0 || uid === process.getuid?.()
  if (!trusted || (mode & OTHERS_WRITE) !== 0) {
    throw new IdentityError("not-ready", `others may write the folder "${folder}" of admin.socket`, {
      reason: "folder-unusable",
      next: `chmod go-w ${folder}, or give admin.socket a folder of its own`,
    })
  }
  return prepareSocketPath(path)
}

const OTHERS_WRITE = 0o022
const REQUESTS_PER_CONNECTION = 1000
const NOBODY = 0xffff_fffe
