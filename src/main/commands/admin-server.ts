import { type Command, Option } from "commander"
import type { AdminServer } from "../../adapters/admin-client/open-admin-client.ts"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { adminSocketPath } from "../admin-socket-path.ts"
import { UsageError } from "../command-failure.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { type Credentials, fetchCredentials, readCredentials, readRoots, readTokenFile } from "./admin-credentials.ts"

/** Where the server is that a command asks, and how the caller is known there. */
export interface ServerOptions {
  readonly config?: string
  readonly adminSocket?: string
  readonly server?: string
  readonly ca?: string
  readonly svidDir?: string
  /** True: the environment says where it is. */
  readonly workloadApi?: string | true
  readonly tokenFile?: string
}

/** Options that find a server. @see ADM-33 */
export function withServer(command: Command): Command {
  return command
    .option("-c, --config <file>", "configuration of the server on this machine, which says where its admin socket is")
    .addOption(new Option("--admin-socket <path>", "its admin socket").env("ASSAY_ADMIN_SOCKET"))
    .addOption(new Option("--server <url>", "a server elsewhere: https://<its listen.admin>").env("ASSAY_SERVER"))
    .addOption(new Option("--ca <file>", CA_HELP).env("ASSAY_SERVER_CA"))
    .option("--svid-dir <directory>", "be known there by svid.pem and svid_key.pem, as assay write keeps them")
    .option("--workload-api [address]", "be known there by the X.509-SVID of this workload")
    .addOption(new Option("--token-file <file>", "be known there by this bearer token").env("ASSAY_TOKEN_FILE"))
}

/**
 * The server elsewhere that was named, or the socket, or that of the configuration, or the one of a server that was started in
 * this folder. @throws UsageError for options that cannot be meant together
 */
export async function findServer(options: ServerOptions): Promise<AdminServer> {
  const { config, adminSocket, server, svidDir, workloadApi } = options
  if (server !== undefined) {
    if (config !== undefined) throw new UsageError("--server (or ASSAY_SERVER) and --config exclude each other")
    if (adminSocket !== undefined)
      throw new UsageError("--server (or ASSAY_SERVER) and --admin-socket exclude each other")
    return findRemote(server, options)
  }
  if (svidDir !== undefined) throw new UsageError("--svid-dir has no meaning without --server")
  if (workloadApi !== undefined) throw new UsageError("--workload-api has no meaning without --server")
  if (adminSocket !== undefined) return { kind: "socket", path: adminSocket }
  if (config === undefined) return { kind: "socket", path: DEFAULT_SOCKET }
  return { kind: "socket", path: adminSocketPath(await loadServerConfig(config, makeCelConditions().compile)) }
}

async function findRemote(server: string, options: ServerOptions): Promise<AdminServer> {
  const url = URL.parse(server)
  const isPlain =
    url?.protocol === "https:" && url.username === "" && url.password === "" && url.search + url.hash === ""
  if (url === null || !isPlain) throw new UsageError("--server must be an https URL without user, query or fragment")
  const known = await credentialsOf(options)
  const ca = options.ca === undefined ? known.roots : await readRoots(options.ca)
  const { certificate, token } = known
  return {
    kind: "https",
    url,
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(token === undefined ? {} : { token }),
  }
}

function credentialsOf({ svidDir, workloadApi, tokenFile }: ServerOptions): Promise<Credentials> {
  if (svidDir !== undefined && workloadApi !== undefined) {
    throw new UsageError("--svid-dir and --workload-api exclude each other")
  }
  if (svidDir !== undefined) return readCredentials(svidDir)
  if (workloadApi !== undefined) return fetchCredentials(workloadApi === true ? undefined : workloadApi)
  if (tokenFile !== undefined) return readTokenFile(tokenFile)
  throw new UsageError("say who you are there: --svid-dir, --workload-api or --token-file")
}

const CA_HELP =
  "roots that it is verified by: PEM, or a SPIFFE bundle document. Default: those that came with the SVID, or the system's"
/** Beside the store of a configuration that names neither. */
const DEFAULT_SOCKET = "admin.sock"
