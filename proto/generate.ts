/** Writes src/gen from the .proto files, and the descriptor set that gRPC reflection serves. Run by `npm run gen`. */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const cwd = fileURLToPath(new URL(".", import.meta.url))
const buf = fileURLToPath(new URL("../node_modules/.bin/buf", import.meta.url))
execFileSync(buf, ["generate", "."], { cwd, stdio: "inherit" })
execFileSync(buf, ["build", ".", "--as-file-descriptor-set", "-o", "../src/gen/descriptors.binpb"], {
  cwd,
  stdio: "inherit",
})
