import { dirname, join, resolve } from "node:path"
import type { ServerConfig } from "./config/server-config.ts"

/** Where the admin API of a server with this configuration is. @see ADM-10 */
export function adminSocketPath({ admin, storage }: Pick<ServerConfig, "admin" | "storage">): string {
  return resolve(admin.socket ?? join(dirname(storage.sqlite), "admin.sock"))
}
