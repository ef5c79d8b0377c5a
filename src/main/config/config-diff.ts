import type { ServerConfig } from "./server-config.ts"

/** What a new configuration changes in a running server. */
export interface ConfigDiff {
  /** Keys that can be changed while the server runs, and did change. */
  readonly reloadable: readonly string[]
  /** Keys, e.g. `listen.grpc`, that only a restart can change, and did change. */
  readonly needsRestart: readonly string[]
}

/** @see CFG-15 */
export function diffConfigs(current: ServerConfig, next: ServerConfig): ConfigDiff {
  const before = contentOf(current)
  const after = contentOf(next)
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key))
  const isReloadable = (key: string) => RELOADABLE.has(key.split(".")[0] ?? "") && !OF_THE_LISTENER.has(key)
  return { reloadable: changed.filter(isReloadable), needsRestart: changed.filter((key) => !isReloadable(key)) }
}

/** Two levels of keys, as written in the file, with their content as text. */
function contentOf(config: ServerConfig): ReadonlyMap<string, string> {
  const { rules, tokens } = config.rules
  const content = new Map([
    ["rules", JSON.stringify(rules.map(({ spec }) => spec))],
    ["token_rules", JSON.stringify([...tokens.exports, ...tokens.accepts].map(({ spec }) => spec))],
  ])
  for (const [section, value] of Object.entries(config)) {
    if (section === "rules" || section === "warnings") continue
    const isSection = typeof value === "object" && !Array.isArray(value)
    if (!isSection) content.set(snake(section), JSON.stringify(value))
    else
      for (const [key, member] of Object.entries(value))
        content.set(`${snake(section)}.${snake(key)}`, JSON.stringify(member))
  }
  return content
}

function snake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Top-level keys that a running server takes from a changed file. */
export const RELOADABLE: ReadonlySet<string> = new Set([
  "clusters",
  "rules",
  "token_rules",
  "oauth",
  "federation",
  "limits",
  "admin",
  "rotation",
  "log",
])
/** What a listener was told when it began, and tells every connection or puts into every token. */
const OF_THE_LISTENER: ReadonlySet<string> = new Set([
  "limits.message_size",
  "limits.header_size",
  "limits.streams_per_connection",
  "oauth.issuer",
  "oauth.endpoints",
  "oauth.publish",
  "admin.socket",
  "admin.socket_mode",
  "admin.connections",
])
