import { parseArgs } from "node:util"

export interface RunOptions {
  readonly help: boolean
  /** Build the peers and stop. */
  readonly prepareOnly: boolean
  /** tsc, biome and oxlint. */
  readonly checks: boolean
  /** Only test files whose path contains one of these. Empty: all. */
  readonly only: readonly string[]
  /** Whether peers are prepared ahead of the tests; a test that needs one prepares it anyway. */
  readonly peers: boolean
}

/** @throws TypeError from parseArgs for a flag that does not exist */
export function parseRunOptions(args: readonly string[]): RunOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h", default: false },
      only: { type: "string", multiple: true, default: [] },
      "prepare-only": { type: "boolean", default: false },
      "no-checks": { type: "boolean", default: false },
      "no-peers": { type: "boolean", default: false },
    },
  })
  const filtered = values.only.length > 0
  return {
    help: values.help,
    prepareOnly: values["prepare-only"],
    checks: !values["no-checks"] && !filtered,
    only: values.only,
    peers: !values["no-peers"] && !filtered,
  }
}

export const USAGE = `usage: npm test [-- flags]

Prepares the real peers (Envoy, kube-apiserver, etcd, go-spiffe, py-spiffe, zlint, Prometheus, Wycheproof, the load client), runs tsc, biome and
oxlint, then every test file. The last line is "N passed, N failed"; the exit status is 1 when anything failed.

  --only <text>     only test files whose path contains <text>, e.g. --only unit or --only interop/kube; may be repeated;
                    leaves out the checks and prepares only what the files need
  --no-checks       leave out tsc, biome and oxlint
  --no-peers        do not prepare peers ahead; a test that needs one still prepares it
  --prepare-only    prepare the peers and stop
  -h, --help        this text

Environment: CI=true makes every skipped test a failure. ASSAY_PEER_CACHE is the folder of the prepared peers
(default: \${XDG_CACHE_HOME:-~/.cache}/assay-peers).`
