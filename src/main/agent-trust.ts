import packageJson from "../../package.json" with { type: "json" }
import type { IdentityClientSettings } from "../adapters/identity-client/open-identity-client.ts"
import type { AgentConfig } from "./config/agent-config.ts"

/** How the configuration says that the server is to be reached and recognised. */
export function identityClientSettings(config: AgentConfig, name: string): IdentityClientSettings {
  const { address, caFile, timeout } = config.server
  const endpoint = { host: address.host, port: address.port, trustDomain: config.trustDomain }
  return {
    endpoint: { ...endpoint, knownBy: caFile === undefined ? "spiffe-id" : "dns-name" },
    bootstrap: caFile === undefined ? config.bootstrap : { kind: "ca-file", file: caFile },
    tokenFile: config.tokenFile,
    timeout: timeout * 1000,
    agent: { name, version: packageJson.version },
  }
}
