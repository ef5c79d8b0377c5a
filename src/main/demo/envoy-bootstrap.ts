import type { SpiffeId } from "../../core/spiffe/id.ts"

/** What an Envoy does for its workload. */
export type EnvoyDuty =
  /** Takes mutual TLS from one identity, and answers with what it saw of the caller: SPIFFE ID and serial number. */
  | { readonly kind: "inbound"; readonly peer: SpiffeId }
  /** Takes plain HTTP and sends it on over mutual TLS to that identity at 127.0.0.1:`port`. */
  | { readonly kind: "outbound"; readonly peer: SpiffeId; readonly port: number }

/**
 * A bootstrap, JSON, which is YAML too. Key, certificates and trust come by SDS from the agent's socket, as secrets `default`
 * and `ROOTCA`. One listener, `main`, on loopback at a port of Envoy's choice.
 */
export function envoyBootstrap(id: string, socket: string, duty: EnvoyDuty): string {
  const sds = cluster("sds", { pipe: { path: socket } }, { explicit_http_config: { http2_protocol_options: {} } })
  return JSON.stringify({
    node: { id, cluster: "demo" },
    admin: { address: ANY_PORT },
    static_resources: {
      listeners: [{ name: "main", address: ANY_PORT, filter_chains: [filterChain(duty)] }],
      clusters: duty.kind === "inbound" ? [sds] : [sds, upstream(duty)],
    },
  })
}

function filterChain(duty: EnvoyDuty): object {
  if (duty.kind === "outbound") return { filters: [httpManager({ route: { cluster: "upstream", timeout: "5s" } })] }
  const seen = { text_format_source: { inline_string: "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SERIAL%" } }
  const context = { ...tls("DownstreamTlsContext", duty.peer), require_client_certificate: true }
  return {
    transport_socket: { name: "envoy.transport_sockets.tls", typed_config: context },
    filters: [httpManager({ direct_response: { status: 200, body_format: seen } })],
  }
}

/** Each request takes a new connection, so that each shows the certificates of its time. */
function upstream({ peer, port }: EnvoyDuty & { kind: "outbound" }): object {
  const once = {
    common_http_protocol_options: { max_requests_per_connection: 1 },
    explicit_http_config: { http_protocol_options: {} },
  }
  const context = { ...tls("UpstreamTlsContext", peer), max_session_keys: 0 }
  return {
    ...cluster("upstream", { socket_address: { address: "127.0.0.1", port_value: port } }, once),
    transport_socket: { name: "envoy.transport_sockets.tls", typed_config: context },
  }
}

function tls(context: string, peer: SpiffeId): object {
  return {
    "@type": type(`transport_sockets.tls.v3.${context}`),
    common_tls_context: {
      tls_certificate_sds_secret_configs: [secret("default")],
      combined_validation_context: {
        default_validation_context: {
          match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: peer } }],
        },
        validation_context_sds_secret_config: secret("ROOTCA"),
      },
    },
  }
}

function secret(name: string): object {
  return {
    name,
    sds_config: {
      resource_api_version: "V3",
      api_config_source: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "sds" } }],
      },
    },
  }
}

function cluster(name: string, address: object, protocol: object): object {
  const options = type("upstreams.http.v3.HttpProtocolOptions")
  return {
    name,
    type: "STATIC",
    connect_timeout: "2s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": { "@type": options, ...protocol },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  }
}

function httpManager(action: object): object {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
      stat_prefix: "main",
      route_config: {
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, ...action }] }],
      },
      http_filters: [
        { name: "envoy.filters.http.router", typed_config: { "@type": type("filters.http.router.v3.Router") } },
      ],
    },
  }
}

function type(name: string): string {
  return `type.googleapis.com/envoy.extensions.${name}`
}

const ANY_PORT = { socket_address: { address: "127.0.0.1", port_value: 0 } }
