import { Argument, type Command } from "commander"
import { BAN_KINDS, type BanKind } from "../../core/ban/ban.ts"
import { bansAdd, bansLift, bansList } from "../../transports/admin/ban-operations.ts"
import { UsageError } from "../command-failure.ts"
import { duration } from "../config/units.ts"
import {
  type AdminOptions,
  askAdmin,
  type DestructiveOptions,
  printAdmin,
  withAdmin,
  withDryRun,
} from "./admin-command.ts"
import { addedText, bansTable, liftedText } from "./ban-output.ts"

/** `assay ban`: whom nobody issues to any more. @see BAN-14 */
export function registerBan(program: Command): void {
  const ban = program.command("ban").description("stop issuing to somebody, at once")
  withTarget(withDryRun(ban.command("add")))
    .description("issue nothing any more to whom this names, end their streams, take their tokens for dead")
    .requiredOption("--reason <text>", "why; goes into the audit log, the banned never see it")
    .option("--for <duration>", "how long, such as 90s, 15m, 12h or 30d; default: until it is lifted")
    .addHelpText("after", `${NAMES}${ADD}`)
    .action(add)
  withTarget(withAdmin(ban.command("lift")))
    .description("let whom this names have identities again; they come back by themselves within five minutes")
    .requiredOption("--reason <text>", "why; goes into the audit log")
    .addHelpText("after", `${NAMES}${LIFT}`)
    .action(lift)
  withAdmin(ban.command("list"))
    .description("show the bans that are in force, oldest first")
    .option("--kind <kind>", `only these: ${BAN_KINDS.join(", ")}`)
    .option("--limit <count>", "at most so many, 1 to 10000")
    .addHelpText("after", "\nExample:\n  assay ban list -c assay.yaml -o json")
    .action(list)
}

function withTarget(command: Command): Command {
  return command
    .addArgument(new Argument("<kind>", "what is named").choices(BAN_KINDS))
    .argument("<name>", "whom, in its one spelling; see below")
}

async function add(kind: BanKind, name: string, options: DestructiveOptions & AddOptions): Promise<void> {
  const ttl = options.for === undefined ? undefined : ttlOf(options.for)
  const reply = await askAdmin(bansAdd, { kind, name, reason: options.reason, ttl }, options)
  printAdmin(reply, options, () => addedText({ kind, name }, reply))
}

async function lift(kind: BanKind, name: string, options: AdminOptions & { readonly reason: string }): Promise<void> {
  const reply = await askAdmin(bansLift, { kind, name, reason: options.reason }, options)
  printAdmin(reply, options, () => liftedText(reply))
}

async function list(options: AdminOptions & { readonly kind?: BanKind; readonly limit?: string }): Promise<void> {
  const { kind, limit } = options
  const reply = await askAdmin(bansList, { kind, limit }, options)
  printAdmin(reply, options, () => bansTable(reply))
}

interface AddOptions {
  readonly reason: string
  readonly for?: string
}

function ttlOf(text: string): number {
  const parsed = duration({ min: "1s", max: "3650d" }).safeParse(text)
  if (parsed.success) return parsed.data
  throw new UsageError(`--for ${parsed.error.issues[0]?.message ?? "is no duration"}`)
}

const NAMES = `
What names whom:
  identity   spiffe://prod.example/ns/shop/sa/web    exactly this one
  prefix     spiffe://prod.example/ns/shop           this one, and all below it; without a path: the trust domain
  namespace  <cluster>/<namespace>                   whoever runs there
  node       <cluster>/<node>                        whoever runs on it
  cluster    <cluster>                               whoever runs in it
  pod        <UID of the pod>
  key        <SHA-256 of the public key, in hex>     openssl x509 -in svid.pem -pubkey -noout |
                                                       openssl pkey -pubin -outform DER | sha256sum
`
const ADD = `
Without --yes nothing is banned: it says how many live streams would end, and how many hold certificates. Those stay valid
until they expire for whoever looks at nothing but the certificate, so bans are as good as lives are short. A ban of a key bans
nobody: who holds it is told to go on with another key at once, and is given one.

Examples:
  assay ban add identity spiffe://prod.example/ns/shop/sa/web --reason "key leaked" -c assay.yaml
  assay ban add namespace main/shop --reason "incident 42" --for 12h --yes -c assay.yaml`
const LIFT = `
Tokens from before the lift stay dead. A ban ends only by the name by which it was given (assay ban list).

Example:
  assay ban lift namespace main/shop --reason "incident 42 is over" -c assay.yaml`
