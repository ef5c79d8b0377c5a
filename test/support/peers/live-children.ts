import type { ChildProcess } from "node:child_process"

/**
 * Processes that must not outlive this one. A test process that exits, or is stopped by SIGTERM or SIGINT (as the test
 * runner does with a file that hangs), kills them on its way out.
 */
export function watchOver(child: ChildProcess): void {
  listen()
  children.add(child)
  child.once("exit", () => children.delete(child))
}

function listen(): void {
  if (listening) return
  listening = true
  process.on("exit", killAll)
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      killAll()
      // The listener is gone: this time the signal ends the process.
      process.kill(process.pid, signal)
    })
  }
}

function killAll(): void {
  for (const child of children) child.kill("SIGKILL")
}

const children = new Set<ChildProcess>()
let listening = false
