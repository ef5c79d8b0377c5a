import { z } from "zod"
import { drain, log } from "./process-schema.ts"
import { duration } from "./units.ts"
import { hostPort, httpsUrl, label, path, text, trustDomain } from "./values.ts"

/** How the agent knows the server the first time. */
export type BootstrapConfig =
  | { readonly kind: "bundle-file"; readonly file: string }
  | { readonly kind: "bundle-url"; readonly url: string; readonly caFile: string | undefined }
  | { readonly kind: "insecure" }

const bootstrap = z
  .strictObject({
    bundle_file: path()
      .optional()
      .describe("File with the trust bundle: PEM certificates or a SPIFFE bundle document."),
    bundle_url: httpsUrl().optional().describe("https URL of that; verified by ca_file or the system's roots."),
    ca_file: path()
      .optional()
      .describe("PEM roots that the server at bundle_url is verified by. Default: the system's."),
    insecure: z
      .boolean()
      .default(false)
      .describe("Trust whatever server answers first. For development only: it weakens security. Default false."),
  })
  .transform((raw, context): BootstrapConfig => {
    const given = [raw.bundle_file !== undefined, raw.bundle_url !== undefined, raw.insecure].filter(Boolean)
    if (given.length !== 1) {
      context.addIssue({ code: "custom", message: "needs exactly one of bundle_file, bundle_url and insecure: true" })
      return z.NEVER
    }
    if (raw.ca_file !== undefined && raw.bundle_url === undefined) {
      context.addIssue({ code: "custom", path: ["ca_file"], message: "has no meaning without bundle_url" })
      return z.NEVER
    }
    if (raw.bundle_file !== undefined) return { kind: "bundle-file", file: raw.bundle_file }
    if (raw.bundle_url !== undefined) return { kind: "bundle-url", url: raw.bundle_url, caFile: raw.ca_file }
    return { kind: "insecure" }
  })
  .describe("How the server is known the first time, and again after the root was rotated while the agent was away.")

const socket = z
  .strictObject({
    path: path()
      .refine((value) => Buffer.byteLength(value) <= 107, "must be at most 107 bytes long, a limit of unix sockets")
      .prefault("/run/assay/agent.sock")
      .describe("Unix socket of the Workload API and SDS. Default /run/assay/agent.sock."),
    mode: z
      .string()
      .regex(/^0[0-7]{3}$/, 'must be an octal mode as text, such as "0660"')
      .transform((value) => Number.parseInt(value, 8))
      .prefault("0777")
      .describe(
        "Mode of the socket, octal, as text. Who can connect gets the identities of this agent. Default 0777, as a pod's folder bounds it.",
      ),
  })
  .prefault({})
  .describe("Where workloads connect.")

const sds = z
  .strictObject({
    default_svid_name: text(253).prefault("default").describe("Secret name of the default identity. Default default."),
    default_bundle_name: text(253)
      .prefault("ROOTCA")
      .describe("Secret name of the own trust domain's bundle. Default ROOTCA."),
    all_bundles_name: text(253).prefault("ALL").describe("Secret name of all bundles together. Default ALL."),
    spiffe_validator: z
      .boolean()
      .default(true)
      .describe(
        "Send bundles for Envoy's SPIFFE validator unless its node metadata says otherwise; false: plain trusted_ca. Default true.",
      ),
  })
  .prefault({})
  .describe("Envoy SDS.")

const health = z
  .strictObject({
    listen: hostPort().optional().describe("Address of health and metrics. Default: none."),
  })
  .prefault({})
  .describe("Health and metrics.")

/** Everything that `assay agent` can be told, as written in its file. */
export const agentSchema = z
  .strictObject({
    trust_domain: trustDomain().describe("Name of the trust domain; a server of another one is refused."),
    server: z
      .strictObject({
        address: hostPort().describe("host:port of the server."),
        ca_file: path()
          .optional()
          .describe(
            "PEM roots for a server that shows a certificate from files. Default: it shows the trust domain's own SVID.",
          ),
        timeout: duration({ min: "1s", max: "2m" }).prefault("10s").describe("Deadline of one call. Default 10s."),
      })
      .describe("The Assay server."),
    bootstrap,
    token_file: path()
      .prefault("/var/run/secrets/tokens/assay")
      .describe("Projected service-account token; read again at every try. Default /var/run/secrets/tokens/assay."),
    socket,
    sds,
    keys: z
      .strictObject({
        algorithm: z
          .enum(["ec-p256", "ec-p384", "rsa-2048"])
          .default("ec-p256")
          .describe("Algorithm of workload keys. Default ec-p256."),
      })
      .prefault({})
      .describe("Keys of workloads, made by the agent."),
    name: label().optional().describe("Name of this agent in the server's log. Default: the host name."),
    health,
    log,
    drain,
  })
  .describe("Configuration of assay agent.")
