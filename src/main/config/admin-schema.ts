import { z } from "zod"
import { ADMIN_VERBS, type AdminVerb } from "../../core/admin/verb.ts"
import { outsideIssuer } from "./outside-issuer-schema.ts"
import { count, duration } from "./units.ts"
import { label, path, setOf, text } from "./values.ts"

/** Verbs of operations that change something. */
const APPROVABLE = ["rotation", "bans"] as const satisfies readonly AdminVerb[]

const id = () => z.int().min(0).max(0xffff_fffe)

const who = z
  .strictObject({
    uid: id().optional().describe("A user of this machine, on the local socket."),
    gid: id().optional().describe("The primary group of a process of this machine, on the local socket."),
    spiffe_id: text(2048)
      .optional()
      .describe(
        "Identities, at listen.admin, by X.509-SVID or token: a SPIFFE ID, or a path of the own trust domain, with or without a final /*.",
      ),
  })
  .refine(
    (raw) => Object.values(raw).filter((value) => value !== undefined).length === 1,
    "needs exactly one of uid, gid and spiffe_id",
  )

const role = z.strictObject({
  name: label().describe("Name of the role in audit records. Unique."),
  who: who.describe("Who holds it: exactly one of uid, gid and spiffe_id."),
  verbs: setOf(z.enum(ADMIN_VERBS), { min: 1, max: ADMIN_VERBS.length }).describe(
    `What it lets them do: ${ADMIN_VERBS.join(", ")}.`,
  ),
  prefixes: setOf(text(2048), { min: 1, max: 64 })
    .optional()
    .describe(
      "Identities that it is about: a SPIFFE ID, or a path of the own trust domain, with or without a final /*. Default: all, and what concerns the whole trust domain.",
    ),
})

const issuer = z
  .strictObject(
    outsideIssuer({
      audiences: "Audiences of tokens made for the admin API.",
      claims: "Claims that must have exactly this text, or be a list with it, e.g. a group.",
    }),
  )
  .describe(
    "Whose tokens operators may show at listen.admin, and which identity their claims give. One issuer may stand here more than once, with other claims: the first that fits counts.",
  )

const approval = z
  .strictObject({
    verbs: setOf(z.enum(APPROVABLE), { min: 1, max: APPROVABLE.length })
      .default(["rotation"])
      .describe(
        "Verbs whose operations need a second person when they change something: rotation, bans. Default rotation.",
      ),
    except: setOf(text(64).regex(/^[a-z-]+\.[a-z-]+$/, "must be an operation such as rotation.pause"), {
      min: 0,
      max: 64,
    })
      .default([])
      .describe(
        "Operations that one may do alone all the same, such as rotation.pause or rotation.emergency. Default: none.",
      ),
    lifetime: duration({ min: "1m", max: "7d" }).prefault("24h").describe("How long a request waits. Default 24h."),
  })
  .describe(
    "What one operator alone may not do: it waits until another one approves it, who has the verbs approvals and that of what is approved. A user of the machine and an identity are two, also where they are one person. Reloadable. Default: everything may be done alone.",
  )

/** Operators and where they come in. */
export const adminSchema = z
  .strictObject({
    socket: path()
      .optional()
      .describe("Unix socket of the admin API. Default: admin.sock in the folder of storage.sqlite."),
    socket_mode: z
      .string()
      .regex(/^0[0-7]{3}$/, 'must be an octal mode as text, such as "0660"')
      .transform((value) => Number.parseInt(value, 8))
      .prefault("0600")
      .describe("Mode of that socket, octal, as text. Who connects still needs a role. Default 0600."),
    connections: count({ min: 1, max: 1024 })
      .default(64)
      .describe("Connections at once to that socket, and as many to listen.admin. Default 64."),
    issuers: z.array(issuer).max(64).default([]).describe("Issuers of operators' tokens. Reloadable."),
    audience: text(1024)
      .optional()
      .describe(
        "Audience of access tokens of this server's token endpoint that count at listen.admin, when they are for it alone. Reloadable. Default: none counts.",
      ),
    approval: approval.optional(),
    roles: z
      .array(role)
      .max(256)
      .default([])
      .describe(
        "Who may do what. On the local socket root and the server's own user may do everything; nobody else may without a role. Reloadable.",
      ),
  })
  .prefault({})
  .describe("The admin API.")
