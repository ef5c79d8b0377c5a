import { z } from "zod"
import { ADMIN_VERBS } from "../../core/admin/verb.ts"
import { count } from "./units.ts"
import { label, path, setOf, text } from "./values.ts"

const id = () => z.int().min(0).max(0xffff_fffe)

const who = z
  .strictObject({
    uid: id().optional().describe("A user of this machine, on the local socket."),
    gid: id().optional().describe("The primary group of a process of this machine, on the local socket."),
  })
  .refine(
    (raw) => Object.values(raw).filter((value) => value !== undefined).length === 1,
    "needs exactly one of uid and gid",
  )

const role = z.strictObject({
  name: label().describe("Name of the role in audit records. Unique."),
  who: who.describe("Who holds it: exactly one of uid and gid."),
  verbs: setOf(z.enum(ADMIN_VERBS), { min: 1, max: ADMIN_VERBS.length }).describe(
    `What it lets them do: ${ADMIN_VERBS.join(", ")}.`,
  ),
  prefixes: setOf(text(2048), { min: 1, max: 64 })
    .optional()
    .describe(
      "Identities that it is about: a SPIFFE ID, or a path of the own trust domain, with or without a final /*. Default: all, and what concerns the whole trust domain.",
    ),
})

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
    connections: count({ min: 1, max: 1024 }).default(64).describe("Connections at once to that socket. Default 64."),
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
