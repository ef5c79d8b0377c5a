import { setTimeout as delay } from "node:timers/promises"
import { type Command, Option } from "commander"
import type { RotationKind } from "../../core/authority/rotation-state.ts"
import type { Millis } from "../../core/time.ts"
import * as contracts from "../../transports/admin/rotation-contracts.ts"
import { UsageError } from "../command-failure.ts"
import {
  type AdminOptions,
  askAdmin,
  type DestructiveOptions,
  printAdmin,
  withAdmin,
  withDryRun,
} from "./admin-command.ts"
import { outcomeText, planTable, statusTable } from "./rotation-output.ts"

/** Of every verb. */
interface KindOption {
  readonly kind: RotationKind
}

interface StartOptions extends AdminOptions, KindOption {
  readonly auto?: true
  readonly canaryNamespace?: string[]
  readonly canaryPrefix?: string[]
}

interface WaiverOptions extends DestructiveOptions, KindOption {
  readonly reason: string
  readonly all?: true
  readonly consumer?: string[]
}

/** `assay rotation`: the rotation of the root and of JWT keys, as the security team drives them. @see ROT-50..ROT-52 */
export function registerRotation(program: Command): void {
  const rotation = program
    .command("rotation")
    .description("rotate the root of the trust domain, or its JWT keys, on evidence")
  withKind(withAdmin(rotation.command("plan")))
    .description("who would be waited for, who can never answer and why, and how long it would take")
    .action(plan)
  withKind(withAdmin(rotation.command("status")))
    .description("where the rotation stands, and who is late")
    .option("--watch", "draw it again and again until it is over, or until Ctrl-C")
    .action(status)
  withKind(withAdmin(rotation.command("start")))
    .description("begin: make a new root, or new JWT keys, and step by step put it in the old one's place")
    .option("--auto", "take steps that need a decision as soon as evidence allows")
    .option("--canary-namespace <name...>", "namespaces whose workloads get SVIDs of the new root first")
    .option("--canary-prefix <id...>", "SPIFFE IDs that get them first, with everything below")
    .addHelpText("after", HELP)
    .action(start)
  simple(rotation, "advance", "take the next step, which evidence must allow", contracts.rotationAdvance)
  simple(rotation, "pause", "take no step until resumed", contracts.rotationPause)
  withKind(withAdmin(rotation.command("resume")))
    .description("go on")
    .option("--auto", "take steps that need a decision as soon as evidence allows")
    .action(resume)
  simple(rotation, "rollback", "sign with the old one again; both stay trusted", contracts.rotationRollback)
  withKind(withDryRun(rotation.command("abort")))
    .description("give the new one up and take it out of the bundle, once nothing that it signed is alive")
    .option("--reason <text>", "why nobody waits for those who hold something of it; goes into the audit log")
    .option("--all", "wait for nobody: whoever holds something of it loses its trust")
    .option("--consumer <id...>", "the same of these alone, which must be all of them")
    .action(abort)
  withWaiver(rotation.command("waive")).description("do not wait for these").action(waive)
  withWaiver(rotation.command("emergency"))
    .description("keys are stolen: a fresh one at once, and every other of this kind out of every bundle")
    .option("--again", "also when an emergency is under way: what it made is stolen, too")
    .action(emergency)
}

/** All of these have no request, and one reply. */
type Simple = typeof contracts.rotationAdvance

function simple(rotation: Command, name: string, description: string, contract: Simple): void {
  withKind(withAdmin(rotation.command(name)))
    .description(description)
    .action(async (options: AdminOptions & KindOption) => {
      const reply = await askAdmin(contract, { kind: options.kind }, options)
      printAdmin(reply, options, () => outcomeText(reply))
    })
}

function withKind(command: Command): Command {
  const kinds = new Option("--kind <kind>", "what is rotated: the root or the JWT keys").choices(["x509", "jwt"])
  return command.addOption(kinds.default("x509"))
}

function withWaiver(command: Command): Command {
  return withKind(withDryRun(command))
    .requiredOption("--reason <text>", "why nobody waits for them; goes into the audit log")
    .option("--all", "whoever is late when this is decided")
    .option("--consumer <id...>", "ids as assay rotation status shows them")
}

async function plan(options: AdminOptions & KindOption): Promise<void> {
  const reply = await askAdmin(contracts.rotationPlan, { kind: options.kind }, options)
  printAdmin(reply, options, () => planTable(reply))
}

async function status(options: AdminOptions & KindOption & { readonly watch?: true }): Promise<void> {
  for (;;) {
    const reply = await askAdmin(contracts.rotationStatus, { kind: options.kind }, options)
    const again = options.watch === true
    if (again && options.output === "table" && process.stdout.isTTY) process.stdout.write(CLEAR)
    printAdmin(reply, options, () => statusTable(reply))
    if (!again || reply.phase === "stable") return
    await delay(WATCH_MILLIS)
  }
}

async function start(options: StartOptions): Promise<void> {
  const { kind, auto = false, canaryNamespace = [], canaryPrefix = [] } = options
  const request = { kind, auto, canary_namespaces: canaryNamespace, canary_prefixes: canaryPrefix }
  const reply = await askAdmin(contracts.rotationStart, request, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function resume(options: AdminOptions & KindOption & { readonly auto?: true }): Promise<void> {
  const { kind, auto = false } = options
  const reply = await askAdmin(contracts.rotationResume, { kind, auto }, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

/** @throws UsageError for a waiver without reason, or a reason without waiver */
async function abort(options: Partial<WaiverOptions> & DestructiveOptions & KindOption): Promise<void> {
  const { kind, reason, all, consumer } = options
  const waives = all === true || consumer !== undefined
  if (waives !== (reason !== undefined)) throw new UsageError("--reason goes with --all or --consumer")
  const request = reason === undefined ? { kind } : waiverOf({ ...options, reason })
  const reply = await askAdmin(contracts.rotationAbort, request, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function waive(options: WaiverOptions): Promise<void> {
  const reply = await askAdmin(contracts.rotationWaive, waiverOf(options), options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function emergency(options: WaiverOptions & { readonly again?: true }): Promise<void> {
  const request = { ...waiverOf(options), again: options.again === true }
  const reply = await askAdmin(contracts.rotationEmergency, request, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

/** @throws UsageError unless exactly one of both is given */
function waiverOf({ kind, reason, all, consumer }: WaiverOptions) {
  if ((all === true) === (consumer !== undefined)) throw new UsageError("give either --all or --consumer")
  return { kind, reason, consumers: consumer ?? ("all" as const) }
}

const WATCH_MILLIS: Millis = 1000
/** Home, and erase what is below. */
const CLEAR = "\u001b[H\u001b[J"
const HELP = `
The root and the JWT keys (--kind jwt) rotate apart from each other. JWT keys rotate by jwt.key_ttl without anybody asking.
A step is taken only when everybody who would be left behind has acknowledged it, or what it holds has expired.
Example:
  assay rotation plan -c assay.yaml
  assay rotation start -c assay.yaml --auto && assay rotation status -c assay.yaml --watch`
