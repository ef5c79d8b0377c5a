import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/**
 * Loaded before anything else, in each thread: moves the wall clock, and it alone, by the seconds that stand in a file at the moment.
 * The file is in the query of this file's URL.
 */
const file = fileURLToPath(new URL(import.meta.url).searchParams.get("file") ?? "")
const { now } = Date
Date.now = () => now() + 1000 * Number(readFileSync(file, "utf8"))
