import { readFile, writeFile } from "node:fs/promises"

/** Resident memory of a process, KiB. */
export function residentKib(pid: number): Promise<number> {
  return statusKib(pid, "VmRSS")
}

/** The most that was resident since it started, or since {@link forgetPeak}, KiB. */
export function peakKib(pid: number): Promise<number> {
  return statusKib(pid, "VmHWM")
}

/** Begin anew to note the peak (proc(5), clear_refs). */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5")
}

async function statusKib(pid: number, name: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8")
  const kib = Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1])
  if (!Number.isInteger(kib)) throw new Error(`no ${name}`)
  return kib
}
