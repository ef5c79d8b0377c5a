import { readFile } from "node:fs/promises"

/** Processor time that a process has used so far with all its threads, in seconds. Says more than a clock on a machine that is busy. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8")
  // After the name, which may have spaces: utime and stime are the 12th and 13th, in ticks of 10 ms.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const ticks = Number(fields[11]) + Number(fields[12])
  if (!Number.isInteger(ticks)) throw new Error("no processor time")
  return ticks / 100
}
