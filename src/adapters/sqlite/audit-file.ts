import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"
import type { Millis } from "../../core/time.ts"

/**
 * A file that grows by whole lines. After an error, what was not synced is cut off before it is written again; when the file
 * was renamed, a new one is begun. A named pipe or a device will do as well, but cannot be synced: what it was given is its reader's.
 */
export class AuditFile implements Disposable {
  readonly #path: string
  #fd: number | undefined
  #inode = 0
  /** Length up to which everything is known to be on the disk. */
  #synced = 0
  /** No plain file. */
  #pipe = false
  /** A pipe may have got a part of a line. */
  #torn: boolean

  /** @param torn somebody who wrote to it was stopped; a pipe may have got a part of a line of his */
  constructor(path: string, torn = false) {
    this.#path = path
    this.#torn = torn
  }

  /**
   * Open it, unless it is open and still what stands at its path. `undefined` when nothing changed, else the last whole line,
   * empty when there is none.
   */
  open(): string | undefined {
    const found = statSync(this.#path, { throwIfNoEntry: false })
    if (this.#fd !== undefined && found?.ino === this.#inode) return undefined
    this.close()
    const fd = openSync(this.#path, FLAGS, 0o600)
    this.#fd = fd
    try {
      return this.#begin(fd)
    } catch (error) {
      this.close() // the next call looks at it anew
      throw error
    }
  }

  get isPipe(): boolean {
    return this.#pipe
  }

  /** Durable when it returns. @throws Error of Node, or with code ETIMEDOUT when a pipe takes nothing for `patience` */
  append(lines: string, patience: Millis): void {
    const fd = this.#fd
    if (fd === undefined) throw new TypeError("audit file is not open")
    const bytes = Buffer.from(this.#torn && this.#pipe ? `\n${lines}` : lines)
    try {
      writeAll(fd, bytes, patience)
      if (!this.#pipe) fdatasyncSync(fd)
      this.#synced += bytes.length
      this.#torn = false
    } catch (error) {
      this.#torn = true
      // A reader that is only slow would take a pipe that is closed for finished.
      if (!(this.#pipe && isCode(error, "ETIMEDOUT"))) this.close()
      throw error
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Cut off what may not be on the disk. @returns the last whole line */
  #begin(fd: number): string {
    const stats = fstatSync(fd)
    const { ino, size } = stats
    this.#pipe = !stats.isFile()
    const { line, end } = this.#pipe
      ? NO_LINE
      : lastLine(this.#path, ino === this.#inode ? Math.min(size, this.#synced) : size)
    if (!this.#pipe) {
      if (end < size) ftruncateSync(fd, end)
      fsyncSync(fd)
      syncFolder(this.#path)
    }
    this.#inode = ino
    this.#synced = end
    return line
  }
}

/** Where a file begins, kept beside it, since an empty file does not say. Durable when it returns. */
export function writeBeginning(path: string, sequence: number): void {
  const temporary = `${path}.from.new`
  writeFileSync(temporary, `${sequence}\n`, { mode: 0o600, flush: true })
  renameSync(temporary, `${path}.from`)
  syncFolder(path)
}

/** `undefined` when there is none. */
export function readBeginning(path: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(`${path}.from`, "utf8"), 10)
  } catch {
    return undefined
  }
}

function writeAll(fd: number, bytes: Uint8Array, patience: Millis): void {
  const deadline = performance.now() + patience
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at)
    } catch (error) {
      if (!isCode(error, "EAGAIN")) throw error
      if (performance.now() > deadline) throw Object.assign(new Error("nobody reads the pipe"), { code: "ETIMEDOUT" })
      Atomics.wait(NEVER_WOKEN, 0, 0, 5)
    }
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code
}

/** The last line that ends, within `size`, and where it ends. */
function lastLine(path: string, size: number): { readonly line: string; readonly end: number } {
  const from = Math.max(0, size - MAX_LINE)
  const tail = Buffer.alloc(size - from)
  const fd = openSync(path, "r")
  try {
    for (let at = 0; at < tail.length; ) {
      const count = readSync(fd, tail, at, tail.length - at, from + at)
      if (count === 0) break
      at += count
    }
  } finally {
    closeSync(fd)
  }
  const end = tail.lastIndexOf(LINE_FEED) + 1
  if (end === 0) return { line: "", end: from }
  const begin = end < 2 ? 0 : tail.lastIndexOf(LINE_FEED, end - 2) + 1
  return { line: tail.subarray(begin, end - 1).toString(), end: from + end }
}

function syncFolder(path: string): void {
  const fd = openSync(dirname(path), "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Without O_NONBLOCK, a pipe without a reader would hold the thread for ever. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
const LINE_FEED = 10
const NO_LINE = { line: "", end: 0 }
/** Longer than any record. */
const MAX_LINE = 1024 * 1024
const NEVER_WOKEN = new Int32Array(new SharedArrayBuffer(4))
