import { execFile } from "node:child_process"
import { promisify } from "node:util"

export type Toolchain = keyof typeof PROBES

/** What is missing of a toolchain, in words, or undefined when it is there. Asked once a process. */
export function missingToolchain(toolchain: Toolchain): Promise<string | undefined> {
  const known = answers.get(toolchain)
  if (known !== undefined) return known
  const answer = probe(toolchain)
  answers.set(toolchain, answer)
  return answer
}

/** The version line of a toolchain that shapes what is built with it. */
export async function toolchainVersion(toolchain: Toolchain): Promise<string> {
  const [command, ...args] = PROBES[toolchain].version
  const { stdout } = await run(command, args, { timeout: PROBE_MILLIS })
  return stdout.trim()
}

async function probe(toolchain: Toolchain): Promise<string | undefined> {
  const { commands, name } = PROBES[toolchain]
  for (const [command, ...args] of commands) {
    const failed = await run(command, args, { timeout: PROBE_MILLIS }).then(
      () => false,
      () => true,
    )
    if (failed) return `${name} (\`${[command, ...args].join(" ")}\` does not run)`
  }
  return undefined
}

type Command = readonly [string, ...string[]]

const run = promisify(execFile)
const answers = new Map<Toolchain, Promise<string | undefined>>()
const PROBE_MILLIS = 30_000

const PROBES = {
  go: { name: "Go 1.26", commands: [["go", "version"]], version: ["go", "env", "GOOS", "GOARCH"] },
  python3: {
    name: "Python 3 with pip",
    commands: [["python3", "-m", "pip", "--version"]],
    version: ["python3", "-c", "import sys, platform; print(sys.version_info[:2], platform.machine())"],
  },
  openssl: { name: "OpenSSL", commands: [["openssl", "version"]], version: ["openssl", "version"] },
} as const satisfies Record<string, { name: string; commands: readonly Command[]; version: Command }>
