import { constants } from "node:fs"
import { access, stat, statfs } from "node:fs/promises"
import { dirname } from "node:path"
import { exposedFiles } from "../../adapters/sqlite/exposed-files.ts"
import { readAuthority } from "../../adapters/sqlite/read-authority.ts"
import type { AddressLook, AuthorityLook, Lifetime, Look, MachineFacts } from "../../core/doctor/facts.ts"
import { IdentityError } from "../../core/errors.ts"
import { parseCertificate } from "../../core/x509/certificate.ts"
import { parsePem } from "../../core/x509/pem.ts"
import { readNamedFile } from "../config/read-config-file.ts"
import type { ServerConfig } from "../config/server-config.ts"
import { readSealingKey } from "../server/read-sealing-key.ts"
import { look, lookAtFile } from "./look.ts"
import { lookAtAddresses, lookAtClusters, shownCertificate } from "./look-network.ts"

/** Look at what a configuration names. Nothing is changed. */
export async function lookAtMachine(config: ServerConfig): Promise<MachineFacts> {
  const { storage, audit } = config
  const [sealingKey, exposed, store, disk, sinks, clusters, addresses] = await Promise.all([
    lookAtSealingKey(config),
    exposedOf(config),
    lookAtFile(storage.sqlite, constants.R_OK, () => lookAtStore(storage.sqlite)),
    lookAtFile(dirname(storage.sqlite), constants.F_OK, () => lookAtDisk(dirname(storage.sqlite))),
    Promise.all(audit.sinks.map(async ({ file }) => ({ file, look: await lookAtSink(file) }))),
    lookAtClusters(config.clusters),
    lookAtAddresses(config),
  ])
  const served = await lookAtServing(config, addresses)
  return { sealingKey, exposed, store, disk, serving: served, sinks, clusters, addresses }
}

function lookAtSealingKey(config: ServerConfig): Promise<Look<string>> {
  const { sealingKeyFile: file } = config.keys
  const read = async () => {
    await readSealingKey(config, process.env)
    return file ?? "ASSAY_SEALING_KEY"
  }
  return file === undefined ? look(read) : lookAtFile(file, constants.R_OK, read)
}

/** `undefined` for a certificate that a server makes itself, while none shows it. */
async function lookAtServing(
  { serving, listen }: ServerConfig,
  addresses: readonly AddressLook[],
): Promise<Look<Lifetime> | undefined> {
  if (serving.kind === "files") {
    return lookAtFile(serving.certificateFile, constants.R_OK, () => lifetimeOfFile(serving.certificateFile))
  }
  const shown = addresses.some(({ name, answers }) => name === "grpc" && answers)
  return shown ? look(() => shownCertificate(listen.grpc)) : undefined
}

/** Files of store and keys that others than their owner may read or write. */
async function exposedOf({ storage, keys }: ServerConfig): Promise<MachineFacts["exposed"]> {
  const named = [keys.directory, ...(keys.sealingKeyFile === undefined ? [] : [keys.sealingKeyFile])]
  const found = await Promise.all(
    named.map(async (file) => {
      const seen = await stat(file).catch(() => undefined)
      const mode = (seen?.mode ?? 0) & 0o777
      return (mode & 0o077) === 0 ? [] : [{ file, mode }]
    }),
  )
  return [...(await exposedFiles(storage.sqlite)), ...found.flat()]
}

async function lookAtStore(path: string) {
  const record = readAuthority(path)
  if (record === undefined) throw new IdentityError("not-found", `the store "${path}" has no trust domain yet`)
  const roots = record.roots.map(({ certificate, state }): AuthorityLook => {
    const { subjectKeyId, notBefore, notAfter } = parseCertificate(certificate)
    return { kind: "root", id: Buffer.from(subjectKeyId ?? []).toString("hex"), state, notBefore, notAfter }
  })
  const times = await Promise.all([path, `${path}-wal`].map((file) => stat(file).catch(() => undefined)))
  return { roots, writtenAt: Math.max(0, ...times.map((seen) => Math.floor((seen?.mtimeMs ?? 0) / 1000))) }
}

async function lookAtDisk(folder: string) {
  const { bavail, bsize, blocks } = await statfs(folder)
  return { folder, freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}

async function lifetimeOfFile(file: string): Promise<Lifetime> {
  const [leaf] = parsePem(await readNamedFile("certificate file", file), "CERTIFICATE", {
    maxLength: MAX_PEM,
    maxBlocks: 16,
  })
  if (leaf === undefined) throw new IdentityError("malformed", `${file} has no certificate`)
  return parseCertificate(leaf)
}

/** A file that is not there yet needs a folder that may be written. */
async function lookAtSink(file: string): Promise<Look<undefined>> {
  const isThere = await stat(file).then(
    () => true,
    () => false,
  )
  const at = isThere ? file : dirname(file)
  return lookAtFile(at, constants.W_OK, async () => {
    await access(at, constants.W_OK)
    return undefined
  })
}

const MAX_PEM = 1024 * 1024
