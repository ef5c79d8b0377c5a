import { setTimeout as delay } from "node:timers/promises"
import type { Command } from "commander"
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

interface StartOptions extends AdminOptions {
  readonly auto?: true
  readonly canaryNamespace?: string[]
  readonly canaryPrefix?: string[]
}

interface WaiverOptions extends DestructiveOptions {
  readonly reason: string
  readonly all?: true
  readonly consumer?: string[]
}

/** `assay rotation`: the rotation of the root, as the security team drives it. @see ROT-50..ROT-52 */
export function registerRotation(program: Command): void {
  const rotation = program.command("rotation").description("rotate the root of the trust domain, on evidence")
  withAdmin(rotation.command("plan"))
    .description("who would be waited for, who can never answer and why, and how long it would take")
    .action(plan)
  withAdmin(rotation.command("status"))
    .description("where the rotation stands, and who is late")
    .option("--watch", "draw it again and again until it is over, or until Ctrl-C")
    .action(status)
  withAdmin(rotation.command("start"))
    .description("begin: make a new root and, step by step, put it in the old one's place")
    .option("--auto", "take steps that need a decision as soon as evidence allows")
    .option("--canary-namespace <name...>", "namespaces whose workloads get SVIDs of the new root first")
    .option("--canary-prefix <id...>", "SPIFFE IDs that get them first, with everything below")
    .addHelpText("after", HELP)
    .action(start)
  simple(rotation, "advance", "take the next step, which evidence must allow", contracts.rotationAdvance)
  simple(rotation, "pause", "take no step until resumed", contracts.rotationPause)
  withAdmin(rotation.command("resume"))
    .description("go on")
    .option("--auto", "take steps that need a decision as soon as evidence allows")
    .action(resume)
  simple(rotation, "rollback", "sign with the old root again; both stay trusted", contracts.rotationRollback)
  withDryRun(rotation.command("abort")).description("give the new root up and take it out of the bundle").action(abort)
  withWaiver(rotation.command("waive")).description("do not wait for these").action(waive)
  withWaiver(rotation.command("emergency"))
    .description("the root is stolen: a new root at once, and the old one out of the bundle")
    .action(emergency)
}

/** All of these have no request, and one reply. */
type Simple = typeof contracts.rotationAdvance

function simple(rotation: Command, name: string, description: string, contract: Simple): void {
  withAdmin(rotation.command(name))
    .description(description)
    .action(async (options: AdminOptions) => {
      const reply = await askAdmin(contract, {}, options)
      printAdmin(reply, options, () => outcomeText(reply))
    })
}

function withWaiver(command: Command): Command {
  return withDryRun(command)
    .requiredOption("--reason <text>", "why nobody waits for them; goes into the audit log")
    .option("--all", "whoever is late when this is decided")
    .option("--consumer <id...>", "ids as assay rotation status shows them")
}

async function plan(options: AdminOptions): Promise<void> {
  const reply = await askAdmin(contracts.rotationPlan, {}, options)
  printAdmin(reply, options, () => planTable(reply))
}

async function status(options: AdminOptions & { readonly watch?: true }): Promise<void> {
  for (;;) {
    const reply = await askAdmin(contracts.rotationStatus, {}, options)
    const again = options.watch === true
    if (again && options.output === "table" && process.stdout.isTTY) process.stdout.write(CLEAR)
    printAdmin(reply, options, () => statusTable(reply))
    if (!again || reply.phase === "stable") return
    await delay(WATCH_MILLIS)
  }
}

async function start(options: StartOptions): Promise<void> {
  const { auto = false, canaryNamespace = [], canaryPrefix = [] } = options
  const request = { auto, canary_namespaces: canaryNamespace, canary_prefixes: canaryPrefix }
  const reply = await askAdmin(contracts.rotationStart, request, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function resume(options: AdminOptions & { readonly auto?: true }): Promise<void> {
  const reply = await askAdmin(contracts.rotationResume, { auto: options.auto ?? false }, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function abort(options: DestructiveOptions): Promise<void> {
  const reply = await askAdmin(contracts.rotationAbort, {}, options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function waive(options: WaiverOptions): Promise<void> {
  const reply = await askAdmin(contracts.rotationWaive, waiverOf(options), options)
  printAdmin(reply, options, () => outcomeText(reply))
}

async function emergency(options: WaiverOptions): Promise<void> {
  const reply = await askAdmin(contracts.rotationEmergency, waiverOf(options), options)
  printAdmin(reply, options, () => outcomeText(reply))
}

/** @throws UsageError unless exactly one of both is given */
function waiverOf({ reason, all, consumer }: WaiverOptions) {
  if ((all === true) === (consumer !== undefined)) throw new UsageError("give either --all or --consumer")
  return { reason, consumers: consumer ?? ("all" as const) }
}

const WATCH_MILLIS: Millis = 1000
/** Home, and erase what is below. */
const CLEAR = "\u001b[H\u001b[J"
const HELP = `
A step is taken only when everybody who would be left behind has acknowledged it, or what it holds has expired.
Example:
  assay rotation plan -c assay.yaml
  assay rotation start -c assay.yaml --auto && assay rotation status -c assay.yaml --watch`
