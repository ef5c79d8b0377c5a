import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { makeScratch } from "./scratch.ts"

/** The demo in a process of its own, as a user starts it, with a folder for temporary files to itself. */
export interface DemoRun extends AsyncDisposable {
  /** Resolves at its end. */
  readonly ended: Promise<DemoEnd>
  /** What it has written for people so far. */
  readonly stdout: () => string
  signal(name: NodeJS.Signals): void
}

export interface DemoEnd {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** Files in its folder for temporary files, and command lines of processes that name that folder. */
  readonly leftBehind: readonly string[]
}

/**
 * @param env laid over the environment of the test
 * @param how "in a shell": as the child of a shell, which is what then gets the signals; the end is that of the demo's output
 */
export async function startDemo(
  flags: readonly string[],
  env: NodeJS.ProcessEnv = {},
  how: "itself" | "in a shell" = "itself",
): Promise<DemoRun> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("run"))
  const command = [process.execPath, DEMO, ...flags]
  // What follows the demo keeps the shell from becoming it.
  const [program = "", ...args] = how === "itself" ? command : ["/bin/sh", "-c", '"$@"; exit $?', "sh", ...command]
  const child = spawn(program, args, {
    env: { ...process.env, ...env, TMPDIR: folder.directory },
    stdio: ["ignore", "pipe", "pipe"],
  })
  stack.defer(() => stop(child))
  let seen = ""
  child.stdout.on("data", (bytes: Buffer) => {
    seen += bytes.toString()
  })
  const written = Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")])
  const ended = written.then(async ([stdout, stderr]) => {
    return { code: child.exitCode, stdout, stderr, leftBehind: await remains(folder.directory) }
  })
  const started = stack.move()
  return {
    ended,
    stdout: () => seen,
    signal: (name) => void child.kill(name),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, "exit")
  child.kill("SIGTERM")
  await ended
}

async function remains(folder: string): Promise<readonly string[]> {
  return [...(await readdir(folder)), ...(await commandLines()).filter((line) => line.includes(folder))]
}

/** Of all processes; none where the system has no /proc. */
async function commandLines(): Promise<readonly string[]> {
  const pids = (await readdir("/proc").catch((): string[] => [])).filter((name) => /^\d+$/.test(name))
  return Promise.all(pids.map((pid) => readFile(join("/proc", pid, "cmdline"), "utf8").catch(() => "")))
}

const DEMO = join(import.meta.dirname, "../../src/main/demo/demo.ts")
