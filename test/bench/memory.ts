import { readFile } from "node:fs/promises"

/** Resident memory of a process, KiB. */
export async function residentKib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8")
  const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1])
  if (!Number.isInteger(kib)) throw new Error("no VmRSS")
  return kib
}
