import { z } from "zod"
import { adminSchema } from "./admin-schema.ts"
import { clusterSchema } from "./cluster-schema.ts"
import { limitsSchema } from "./limits-schema.ts"
import { oauthSchema } from "./oauth-schema.ts"
import { audit, drain, log } from "./process-schema.ts"
import { rotationSchema } from "./rotation-schema.ts"
import { ruleSchema } from "./rule-schema.ts"
import { tokenRulesSchema } from "./token-rule-schema.ts"
import { duration, percent } from "./units.ts"
import { dnsName, hostPort, httpsUrl, ipAddress, path, setOf, text, trustDomain } from "./values.ts"

const listen = z
  .strictObject({
    grpc: hostPort()
      .prefault("0.0.0.0:8443")
      .describe("Address of the identity API and remote SDS, over TLS. Default 0.0.0.0:8443."),
    https: hostPort()
      .prefault("0.0.0.0:8444")
      .describe(
        "Address of the token endpoint, discovery and JWKS, over TLS. Used when oauth is given. Default 0.0.0.0:8444.",
      ),
    admin: hostPort()
      .optional()
      .describe(
        "Address of the admin API, over TLS, for callers with an X.509-SVID or a token. Default: none; then there is the local socket alone.",
      ),
    health: hostPort()
      .prefault("127.0.0.1:9464")
      .describe("Address of health and metrics, without TLS or authentication. Default 127.0.0.1:9464."),
  })
  .prefault({})
  .describe("Where the server listens.")

const serving = z
  .strictObject({
    dns_names: setOf(dnsName(), { min: 0, max: 32 })
      .default([])
      .describe(
        "DNS names of the serving certificate that Assay issues to itself. Default: localhost if ip_addresses is not given either.",
      ),
    ip_addresses: setOf(ipAddress(), { min: 0, max: 32 })
      .default([])
      .describe("IP addresses of that certificate. Default: 127.0.0.1 and ::1 if dns_names is not given either."),
    certificate_file: path()
      .optional()
      .describe("PEM chain to serve instead. Needs key_file, excludes dns_names and ip_addresses."),
    key_file: path().optional().describe("PEM private key of certificate_file."),
  })
  .prefault({})
  .transform((raw, context): ServingConfig => {
    const { certificate_file: certificateFile, key_file: keyFile, dns_names, ip_addresses } = raw
    if ((certificateFile === undefined) !== (keyFile === undefined)) {
      context.addIssue({ code: "custom", message: "certificate_file and key_file need each other" })
      return z.NEVER
    }
    if (certificateFile === undefined || keyFile === undefined) {
      const none = dns_names.length === 0 && ip_addresses.length === 0
      if (none) return { kind: "own", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"] }
      return { kind: "own", dnsNames: dns_names, ipAddresses: ip_addresses }
    }
    if (dns_names.length + ip_addresses.length > 0) {
      context.addIssue({ code: "custom", message: "certificate_file excludes dns_names and ip_addresses" })
      return z.NEVER
    }
    return { kind: "files", certificateFile, keyFile }
  })
  .describe("The certificate of the gRPC listener: from the trust domain itself, or from files.")

/** The certificate that the gRPC listener shows. */
export type ServingConfig =
  | { readonly kind: "own"; readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] }
  | { readonly kind: "files"; readonly certificateFile: string; readonly keyFile: string }

const storage = z
  .strictObject({
    sqlite: path()
      .prefault("assay.db")
      .describe(
        "SQLite file. Whoever can write it can hide issuances and change which authorities are trusted. Default assay.db.",
      ),
  })
  .prefault({})
  .describe("Where the state is kept. Only assay init, or --init, makes a new one.")

const keys = z
  .strictObject({
    directory: path()
      .prefault("keys")
      .describe(
        "Folder of the sealed root and JWT keys. With the sealing key it signs as this trust domain. Default keys.",
      ),
    sealing_key_file: path()
      .optional()
      .describe(
        "File with the key that seals them: 32 bytes as base64. Excludes the variable ASSAY_SEALING_KEY, one of both is needed.",
      ),
    algorithm: z
      .enum(["ec-p256", "ec-p384", "rsa-4096"])
      .default("ec-p256")
      .describe("Algorithm of a new root key. Default ec-p256."),
    crypto_provider: z
      .enum(["native", "peculiar"])
      .default("native")
      .describe(
        "What generates long-lived keys: native (Node's OpenSSL) or peculiar (@peculiar/webcrypto). Default native.",
      ),
    jwt_algorithm: z
      .enum(["ec-p256", "rsa-2048"])
      .default("ec-p256")
      .describe("Algorithm of new JWT keys: ec-p256 signs ES256, rsa-2048 RS256. Default ec-p256."),
  })
  .prefault({})
  .describe("Long-lived keys on disk.")

const root = z
  .strictObject({
    ttl: duration({ min: "1h", max: "3650d" })
      .prefault("365d")
      .describe("Life of a new root certificate. Default 365d."),
    common_name: text(64).prefault("Assay root").describe("Common name of a new root certificate. Default Assay root."),
    organization: text(64).optional().describe("Organization of a new root certificate. Default: none."),
  })
  .prefault({})
  .describe("The root authority, whose certificate is what bundles carry.")

const issuing = z
  .strictObject({
    ttl: duration({ min: "20s", max: "365d" })
      .prefault("24h")
      .describe("Life of the issuing authority of one server process. At least twice x509.ttl. Default 24h."),
  })
  .prefault({})
  .describe("The issuing authority of this process; its key never leaves memory.")

const x509 = z
  .strictObject({
    ttl: duration({ min: "5s", max: "30d" }).prefault("1h").describe("Life of X.509-SVIDs. Default 1h."),
    ttl_jitter: percent({ min: 0, max: 50 })
      .prefault("10%")
      .describe("Each SVID lives up to this share shorter, so that renewals spread out. Default 10%."),
    backdate: duration({ min: "0s", max: "10m" })
      .prefault("10s")
      .describe("How far notBefore lies in the past, for peers whose clock is behind. Default 10s."),
  })
  .prefault({})
  .describe("X.509-SVIDs.")

const jwt = z
  .strictObject({
    ttl: duration({ min: "10s", max: "24h" })
      .prefault("5m")
      .describe("Life of JWT-SVIDs, and the longest that a rule can give. Default 5m."),
    key_ttl: duration({ min: "1m", max: "365d" })
      .prefault("24h")
      .describe(
        "How long JWT keys sign, at least, until a rotation replaces them without anybody asking. Longer than publish_ahead. Default 24h.",
      ),
    publish_ahead: duration({ min: "0s", max: "30d" })
      .prefault("1h")
      .describe("How long a JWT key is published before it signs for the first time. Default 1h."),
    issuer: httpsUrl()
      .optional()
      .describe("iss of JWT-SVIDs, for OIDC discovery; the same as oauth.issuer. Default: oauth.issuer, or no iss."),
  })
  .prefault({})
  .describe("JWT-SVIDs.")

const federation = z.strictObject({
  trust_domain: trustDomain().describe("The other trust domain."),
  bundle_file: path().describe(
    "SPIFFE bundle document of it; read again when it changes. While it is bad, the last good one stays in force.",
  ),
})

/** Everything that `assay server` can be told, as written in its file. */
export const serverSchema = z
  .strictObject({
    trust_domain: trustDomain().describe("Name of the trust domain, e.g. prod.example. Cannot change later."),
    listen,
    serving,
    storage,
    keys,
    root,
    rotation: rotationSchema,
    issuing,
    x509,
    jwt,
    clusters: z.array(clusterSchema).max(256).default([]).describe("Clusters whose tokens are accepted. Reloadable."),
    rules: z
      .array(ruleSchema)
      .max(10_000)
      .default([])
      .describe(
        "Identity rules, in the order of the identities of a caller. Default: /ns/<namespace>/sa/<service account>. Reloadable.",
      ),
    token_rules: tokenRulesSchema,
    oauth: oauthSchema.optional(),
    federation: z
      .array(federation)
      .max(64)
      .default([])
      .describe("Other trust domains that workloads may trust. Reloadable."),
    limits: limitsSchema,
    admin: adminSchema,
    audit,
    log,
    drain,
  })
  .describe("Configuration of assay server.")
