import { isIP } from "node:net"
import { checkServerIdentity, createSecureContext, type SecureContext } from "node:tls"
import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js"
import type { TrustDomain } from "../../core/spiffe/id.ts"
import type { Millis } from "../../core/time.ts"
import { encodePem } from "../../core/x509/pem.ts"
import { type CheckServer, checkServerSpiffeId } from "./server-identity.ts"

/** Where the server is, and how a certificate is recognised as its own. */
export interface ServerEndpoint {
  readonly host: string
  readonly port: number
  readonly trustDomain: TrustDomain
  /** `spiffe-id`: an SVID of the trust domain's server. `dns-name`: a certificate from files, for `host`. */
  readonly knownBy: "spiffe-id" | "dns-name"
}

/** What one TLS connection to the server is verified by. */
export interface TlsTerms {
  readonly context: SecureContext
  readonly check: CheckServer
  readonly serverName: string
}

/** Terms for a server whose chain ends in one of `roots` (DER). TLS 1.2 or later. @see AGT-31 AGT-32 */
export function tlsTerms(endpoint: ServerEndpoint, roots: readonly Uint8Array[]): TlsTerms {
  return {
    context: createSecureContext({ ca: roots.map((der) => encodePem("CERTIFICATE", der)), minVersion: "TLSv1.2" }),
    check:
      endpoint.knownBy === "spiffe-id"
        ? checkServerSpiffeId(endpoint.trustDomain)
        : (_, certificate) => checkServerIdentity(endpoint.host, certificate),
    serverName: serverName(endpoint),
  }
}

/** grpc-js hands no session to a new connection, so none is resumed and each is verified anew. @see AGT-32 INV-35 */
export function channelCredentials({ context, check }: TlsTerms): ChannelCredentials {
  return credentials.createFromSecureContext(context, { checkServerIdentity: check })
}

/** For development only: whoever answers is believed. */
export function unverifiedCredentials(): ChannelCredentials {
  const context = createSecureContext({ minVersion: "TLSv1.2" })
  return credentials.createFromSecureContext(context, { rejectUnauthorized: false })
}

export function addressOf({ host, port }: ServerEndpoint): string {
  return isIP(host) === 6 ? `ipv6:[${host}]:${port}` : isIP(host) === 4 ? `ipv4:${host}:${port}` : `dns:${host}:${port}`
}

/** SNI must not carry an address (RFC 6066 section 3), so an address is replaced by the name of the trust domain. */
export function serverName({ host, trustDomain }: ServerEndpoint): string {
  return isIP(host) === 0 ? host : trustDomain
}

export function channelOptions(endpoint: ServerEndpoint): ChannelOptions {
  return {
    "grpc.ssl_target_name_override": serverName(endpoint),
    "grpc.default_authority": serverName(endpoint),
    "grpc.primary_user_agent": "assay-agent",
    "grpc.use_local_subchannel_pool": 1,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_channelz": 0,
    // Who calls decides when to try again; the channel must not make that later.
    "grpc.enable_retries": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    // A server that was moved is elsewhere under its name at once; by default it is asked for again after 30 s.
    "grpc.dns_min_time_between_resolutions_ms": 1_000,
    "grpc.keepalive_time_ms": KEEPALIVE,
    "grpc.keepalive_timeout_ms": KEEPALIVE / 2,
    "grpc.max_receive_message_length": MAX_MESSAGE,
  }
}

const KEEPALIVE: Millis = 20_000
const MAX_MESSAGE = 8 * 1024 * 1024
