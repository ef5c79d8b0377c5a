import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { chmod, mkdir, writeFile } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { promisify } from "node:util"
import { fences } from "./markdown.ts"
import { PROJECT, type ProjectFile, projectFiles } from "./project-files.ts"

/** One command block of a runbook: what stands between a fence of `sh` and its end. */
export interface RunbookBlock {
  /** The heading that it stands below. */
  readonly heading: string
  readonly text: string
}

/** Every runbook, with the name that its file and its drill have. */
export function runbooks(): readonly (ProjectFile & { readonly name: string })[] {
  return projectFiles("spec/runbooks/*.md").map((file) => ({
    ...file,
    name: file.path.replace("spec/runbooks/", "").replace(".md", ""),
  }))
}

export function blocksOf({ text }: ProjectFile): readonly RunbookBlock[] {
  return text.split(/^## /m).flatMap((section) => {
    const heading = section.split("\n", 1)[0] ?? ""
    return fences(section)
      .filter(({ language }) => language === "sh")
      .map((fence) => ({ heading, text: fence.text }))
  })
}

/** A runbook whose commands a drill runs as they stand there. */
export class Runbook {
  readonly #blocks: readonly RunbookBlock[]
  readonly #folder: string
  readonly #run = new Set<RunbookBlock>()

  private constructor(blocks: readonly RunbookBlock[], folder: string) {
    this.#blocks = blocks
    this.#folder = folder
  }

  /** @param folder where its commands run: with `assay.yaml`, and `assay` in the path */
  static async open(name: string, folder: string): Promise<Runbook> {
    const book = runbooks().find((one) => one.name === name)
    assert.ok(book !== undefined, `there is no runbook ${name}`)
    await mkdir(join(folder, "bin"))
    await writeFile(join(folder, "bin/assay"), `#!/bin/sh\nexec "${process.execPath}" "${CLI}" "$@"\n`)
    await chmod(join(folder, "bin/assay"), 0o755)
    return new Runbook(blocksOf(book), folder)
  }

  /** Run the `nth` block, from 0, below a heading. @returns what it printed @throws Error when a command of it fails */
  async run(heading: string, nth = 0): Promise<string> {
    const block = this.#blocks.filter((one) => one.heading === heading)[nth]
    assert.ok(block !== undefined, `the runbook has no block ${nth} below "${heading}"`)
    this.#run.add(block)
    const path = `${join(this.#folder, "bin")}${delimiter}${process.env["PATH"] ?? ""}`
    const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", block.text], {
      cwd: this.#folder,
      env: { ...process.env, PATH: path },
      timeout: BLOCK_MILLIS,
    })
    return stdout
  }

  /** A command that no drill runs is a guess. */
  demandAllRun(): void {
    const left = this.#blocks.filter((block) => !this.#run.has(block))
    assert.deepEqual(left, [])
  }
}

const CLI = join(PROJECT, "src/main/cli.ts")
const BLOCK_MILLIS = 300_000
