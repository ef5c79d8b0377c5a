import { randomBytes } from "node:crypto"

/** A name for one version of a file set: its time in UTC, for people, and a random part. */
export function makeVersionName(): string {
  const stamp = new Date().toISOString().replace(/[-:]/g, "_").slice(0, 19)
  return `${stamp}.${randomBytes(6).toString("hex")}`
}
