/** Where an Envoy gets its secrets. */
export type SdsPeer =
  | { readonly kind: "unix"; readonly path: string }
  | {
      readonly kind: "remote"
      /** e.g. `dns:///localhost:8443` */
      readonly target: string
      readonly rootsFile: string
      /** Read anew for each stream; must not end in a newline. */
      readonly tokenFile: string
    }

export interface EnvoyMeshConfig {
  /** `node.id`. */
  readonly id: string
  readonly sds: SdsPeer
  readonly api?: "GRPC" | "DELTA_GRPC"
  /** `node.metadata`. */
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly listeners: readonly EnvoyListener[]
  /** A file with more of them, made by {@link listenerFile}, that Envoy follows when another one is moved there. */
  readonly listenerFile?: string
}

export type EnvoyListener =
  | {
      /** Requires a client certificate and answers 200 with the peer's SPIFFE ID, serial number and issuer as it sees them. */
      readonly kind: "mtls"
      readonly name: string
      /** Default: one of Envoy's choice. */
      readonly port?: number
      readonly certificate: string
      readonly trust: string
      /** SPIFFE IDs that may call; empty: any that the trust accepts. */
      readonly accept: readonly string[]
    }
  | {
      /** Plain HTTP in, mTLS to 127.0.0.1:`port` out; a new connection for each request. */
      readonly kind: "client"
      readonly name: string
      readonly port: number
      readonly certificate: string
      readonly trust: string
      readonly accept: readonly string[]
    }

export type MtlsListener = EnvoyListener & { readonly kind: "mtls" }

/** A bootstrap for a mesh proxy, as JSON, which is YAML too. Listeners are on loopback at ports of Envoy's choice. */
export function envoyMeshConfig(config: EnvoyMeshConfig): string {
  const clients = config.listeners.filter((listener) => listener.kind === "client")
  return JSON.stringify({
    node: { id: config.id, cluster: "test", metadata: config.metadata ?? {} },
    ...(config.listenerFile === undefined ? {} : followFile(config.listenerFile)),
    static_resources: {
      listeners: config.listeners.map((listener) =>
        listener.kind === "mtls" ? mtlsListener(listener, config) : clientListener(listener),
      ),
      clusters: [
        ...(config.sds.kind === "unix" ? [sdsCluster(config.sds.path)] : []),
        ...clients.map((client) => upstream(client, config)),
      ],
    },
  })
}

/** What {@link EnvoyMeshConfig.listenerFile} says: these listeners, in place of those before. `version` must be another one each time. */
export function listenerFile(version: string, listeners: readonly MtlsListener[], config: EnvoyMeshConfig): string {
  const resources = listeners.map((listener) => ({
    "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
    ...mtlsListener(listener, config),
  }))
  return JSON.stringify({ version_info: version, resources })
}

function followFile(path: string): object {
  const source = { resource_api_version: "V3", path_config_source: { path } }
  return { dynamic_resources: { lds_config: source } }
}

/** `pipe` must be short: a Unix socket path has at most 107 bytes. */
function sdsCluster(path: string): object {
  return {
    name: "sds",
    type: "STATIC",
    connect_timeout: "5s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": type("upstreams.http.v3.HttpProtocolOptions"),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: endpoints("sds", { pipe: { path } }),
  }
}

function mtlsListener(listener: MtlsListener, config: EnvoyMeshConfig): object {
  const context = {
    "@type": type("transport_sockets.tls.v3.DownstreamTlsContext"),
    require_client_certificate: true,
    common_tls_context: tlsContext(listener, config),
  }
  const socket = { name: "envoy.transport_sockets.tls", typed_config: context }
  const peer = "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_ISSUER%"
  const format = { text_format_source: { inline_string: peer } }
  const hello = { status: 200, body_format: format }
  return {
    ...listenAt(listener.name, listener.port),
    filter_chains: [{ transport_socket: socket, filters: [httpManager(listener.name, { direct_response: hello })] }],
  }
}

function clientListener(listener: EnvoyListener & { kind: "client" }): object {
  const route = { route: { cluster: `${listener.name}-upstream`, timeout: "20s" } }
  return { ...listenAt(listener.name), filter_chains: [{ filters: [httpManager(listener.name, route)] }] }
}

function upstream(listener: EnvoyListener & { kind: "client" }, config: EnvoyMeshConfig): object {
  const name = `${listener.name}-upstream`
  const context = {
    "@type": type("transport_sockets.tls.v3.UpstreamTlsContext"),
    common_tls_context: tlsContext(listener, config),
    // Each request shall show the certificates of now.
    max_session_keys: 0,
  }
  return {
    name,
    type: "STATIC",
    connect_timeout: "10s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": type("upstreams.http.v3.HttpProtocolOptions"),
        common_http_protocol_options: { max_requests_per_connection: 1 },
        explicit_http_config: { http_protocol_options: {} },
      },
    },
    transport_socket: { name: "envoy.transport_sockets.tls", typed_config: context },
    load_assignment: endpoints(name, { socket_address: { address: "127.0.0.1", port_value: listener.port } }),
  }
}

function tlsContext(listener: EnvoyListener, config: EnvoyMeshConfig): object {
  const matchers = listener.accept.map((exact) => ({ san_type: "URI", matcher: { exact } }))
  return {
    tls_certificate_sds_secret_configs: [secretFrom(listener.certificate, config)],
    combined_validation_context: {
      default_validation_context: matchers.length === 0 ? {} : { match_typed_subject_alt_names: matchers },
      validation_context_sds_secret_config: secretFrom(listener.trust, config),
    },
  }
}

function secretFrom(name: string, { sds, api = "GRPC" }: EnvoyMeshConfig): object {
  return {
    name,
    sds_config: {
      resource_api_version: "V3",
      initial_fetch_timeout: "30s",
      api_config_source: {
        api_type: api,
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [sds.kind === "unix" ? { envoy_grpc: { cluster_name: "sds" } } : { google_grpc: remote(sds) }],
      },
    },
  }
}

function remote(sds: SdsPeer & { kind: "remote" }): object {
  const plugin = "envoy.grpc_credentials.file_based_metadata"
  return {
    target_uri: sds.target,
    stat_prefix: "sds",
    credentials_factory_name: plugin,
    channel_credentials: { ssl_credentials: { root_certs: { filename: sds.rootsFile } } },
    call_credentials: [
      {
        from_plugin: {
          name: plugin,
          typed_config: {
            "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
            secret_data: { filename: sds.tokenFile },
            header_key: "authorization",
            header_prefix: "Bearer ",
          },
        },
      },
    ],
  }
}

function httpManager(name: string, action: object): object {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
      stat_prefix: name,
      route_config: {
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, ...action }] }],
      },
      http_filters: [
        { name: "envoy.filters.http.router", typed_config: { "@type": type("filters.http.router.v3.Router") } },
      ],
    },
  }
}

function listenAt(name: string, port = 0): object {
  return { name, address: { socket_address: { address: "127.0.0.1", port_value: port } } }
}

function endpoints(cluster: string, address: object): object {
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] }
}

function type(name: string): string {
  return `type.googleapis.com/envoy.extensions.${name}`
}
