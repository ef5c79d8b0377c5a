import { type Command, InvalidArgumentError, Option } from "commander"
import { makeCelConditions } from "../../adapters/cel/cel-conditions.ts"
import { explainToken } from "../../app/rules/explain-token.ts"
import { toIdentityError } from "../../core/errors.ts"
import { parseScopes } from "../../core/oauth/token-request.ts"
import type { TokenQuestion } from "../../core/policy/token-question.ts"
import { diffIdentityRules } from "../../core/rules/identity-diff.ts"
import { diffTokenRules } from "../../core/rules/token-diff.ts"
import { TOKEN_BINDINGS, TOKEN_GRANTS, TOKEN_PRODUCTS } from "../../core/rules/token-kinds.ts"
import { rightsTo, svidRulesTo } from "../../core/rules/token-rights.ts"
import { parseWorkloadId, type SpiffeId, type TrustDomain, trustDomainId } from "../../core/spiffe/id.ts"
import { argument, UsageError } from "../command-failure.ts"
import { ConfigError } from "../config/problem.ts"
import { loadServerConfig } from "../config/server-config.ts"
import { parseDuration } from "../config/units.ts"
import { answering } from "./answering.ts"
import { checkOutput, diffOutput, explainOutput, type PolicyForm, whoCanOutput } from "./policy-output.ts"

/** `assay policy …`: questions to the rules about tokens; nothing is issued. @see TPO-09 TPO-10 TPO-11 TPO-12 */
export function registerPolicy(program: Command): void {
  const policy = program
    .command("policy")
    .description("check, explain and compare the rules about tokens; nothing is issued")
    .addHelpText("after", HELP)
  withForm(policy.command("check"))
    .description("check the rules of a configuration, and name those that decide nothing")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .addHelpText("after", CHECK_HELP)
    .action(answering(check))
  withForm(policy.command("explain"))
    .description("say which rules give a token, or which came nearest and why they do not")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .requiredOption("--client <id>", "who asks: a SPIFFE ID, or a path of the own trust domain")
    .requiredOption("--audience <audience...>", "whom the token is for")
    .option("--subject <id>", "whom the token is about; default: the client")
    .option("--actor <id...>", "who acts for the subject, the newest first; default: nobody")
    .option("--scope <scopes>", "scopes that are asked for, with spaces between them; default: none are named", scopes)
    .option("--subject-scope <scopes>", "scopes of the subject token; default: it says nothing about scopes", scopes)
    .addOption(
      new Option("--grant <type>", "grant type; default: client_credentials for oneself, else token-exchange").choices(
        TOKEN_GRANTS,
      ),
    )
    .addOption(new Option("--product <kind>", "what is asked for").choices(TOKEN_PRODUCTS).default("access-token"))
    .addOption(new Option("--binding <kind>", "what it will be bound to").choices(TOKEN_BINDINGS).default("none"))
    .option("--ttl <duration>", 'life that is asked for, e.g. "5m"; default: none is named', duration)
    .addHelpText("after", EXPLAIN_HELP)
    .action(answering(explain))
  withForm(policy.command("diff"))
    .description("list exactly what two configurations grant differently")
    .argument("<old>", "configuration of the server as it is")
    .argument("<new>", "configuration of the server as it would be")
    .addHelpText("after", DIFF_HELP)
    .action(answering(diff))
  withForm(policy.command("who-can"))
    .description("list exactly who can have a token for an audience, and what is in it")
    .requiredOption("-c, --config <file>", "configuration of the server")
    .requiredOption("--audience <audience>", "the audience")
    .addHelpText("after", WHO_CAN_HELP)
    .action(answering(whoCan))
}

interface FormOption {
  readonly output: PolicyForm
}

interface ExplainOptions extends FormOption {
  readonly config: string
  readonly client: string
  readonly audience: readonly string[]
  readonly subject?: string
  readonly actor?: readonly string[]
  readonly scope?: readonly string[]
  readonly subjectScope?: readonly string[]
  readonly grant?: TokenQuestion["grant"]
  readonly product: TokenQuestion["product"]
  readonly binding: TokenQuestion["binding"]
  readonly ttl?: number
}

async function check({ config: file, output }: FormOption & { readonly config: string }): Promise<number> {
  try {
    const { rules, warnings } = await load(file)
    process.stdout.write(checkOutput({ file, rules, problems: [], warnings }, output))
    return 0
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown
    process.stdout.write(checkOutput({ file, rules: undefined, problems: thrown.problems, warnings: [] }, output))
    return 1
  }
}

async function explain(options: ExplainOptions): Promise<number> {
  const { rules } = await load(options.config)
  const question = questionOf(options, rules.trustDomain)
  const explanation = explainToken(question, rules)
  process.stdout.write(explainOutput(question, explanation, options.output))
  return explanation.decision.kind === "granted" ? 0 : 1
}

async function diff(oldFile: string, newFile: string, { output }: FormOption): Promise<number> {
  const [before, after] = [(await load(oldFile)).rules, (await load(newFile)).rules]
  const changes = [...diffTokenRules(before, after)]
  const identities = diffIdentityRules(before, after)
  const { added, removed, changed, reordered, clusters } = identities
  const isSame = !reordered && [changes, added, removed, changed, clusters].every(({ length }) => length === 0)
  process.stdout.write(diffOutput(changes, identities, output))
  return isSame ? 0 : 1
}

async function whoCan(options: FormOption & { readonly config: string; readonly audience: string }): Promise<number> {
  const { rules } = await load(options.config)
  const rights = rightsTo(options.audience, rules)
  const svidRules = svidRulesTo(options.audience, rules)
  process.stdout.write(whoCanOutput(options.audience, rights, svidRules, options.output))
  return rights.length + svidRules.length > 0 ? 0 : 1
}

function load(file: string) {
  return loadServerConfig(file, makeCelConditions().compile)
}

function questionOf(options: ExplainOptions, trustDomain: TrustDomain): TokenQuestion {
  const id = (text: string) => idOf(text, trustDomain)
  const client = id(options.client)
  const subject = options.subject === undefined ? client : id(options.subject)
  const actors = (options.actor ?? []).map(id)
  const mode = actors.length > 0 ? "delegation" : client === subject ? "self" : "impersonation"
  if (new Set(options.audience).size !== options.audience.length) throw new UsageError("an audience is named twice")
  return {
    grant: options.grant ?? (mode === "self" ? "client_credentials" : "token-exchange"),
    product: options.product,
    client,
    subject,
    actors,
    mode,
    audiences: options.audience,
    scopes: options.scope,
    subjectScopes: options.subjectScope,
    ttl: options.ttl,
    binding: options.binding,
  }
}

/** @throws UsageError */
function idOf(text: string, trustDomain: TrustDomain): SpiffeId {
  try {
    return parseWorkloadId(text.startsWith("/") ? `${trustDomainId(trustDomain)}${text}` : text)
  } catch (thrown) {
    throw new UsageError(`"${text}": ${toIdentityError(thrown).message}`)
  }
}

function withForm(command: Command): Command {
  return command.addOption(
    new Option("-o, --output <form>", "form of the output").choices(["table", "json"]).default("table"),
  )
}

function scopes(text: string): readonly string[] {
  return text === "" ? [] : (argument(parseScopes)(text) ?? [])
}

function duration(text: string): number {
  const seconds = parseDurationOrNaN(text)
  if (!(seconds > 0)) throw new InvalidArgumentError('must be a duration such as "30s", "5m" or "1h"')
  return seconds
}

function parseDurationOrNaN(text: string): number {
  try {
    return parseDuration(text)
  } catch {
    return Number.NaN
  }
}

const HELP = `
A token needs one export, by which its source lets it go, and one accept, by which its target takes it (token_rules in the
configuration). The first export and the first accept in the file that cover the whole request decide; without both, no token.`
const CHECK_HELP = `
Exit code: 0 valid, 1 invalid, 66 the file cannot be read. A rule that decides nothing is a warning.

Example:
  assay policy check -c assay.yaml`
const EXPLAIN_HELP = `
The mode follows from who takes part: self when client and subject are the same, delegation when somebody acts, else
impersonation. IDs that begin with / are of the own trust domain.

Exit code: 0 granted, 1 refused, 66 no answer: the configuration cannot be read or is invalid.

Examples:
  assay policy explain -c assay.yaml --client /ns/shop/sa/web --audience https://ledger.example --scope "read write"
  assay policy explain -c assay.yaml --client /ns/edge/sa/gateway --subject /ns/shop/sa/web --actor /ns/edge/sa/gateway \\
    --audience https://orders.example -o json`
const DIFF_HELP = `
A request is answered differently if and only if it is in one of the changes, as far as conditions (when) of different text are
independent. Names, order without effect, and other ways to write the same are no difference. Identity rules are compared by
their text.

Exit code: 0 no difference, 1 a difference, 66 no answer: a configuration cannot be read or is invalid.

Example:
  git show HEAD:assay.yaml > old.yaml && assay policy diff old.yaml assay.yaml`
const WHO_CAN_HELP = `
Of the rights that cover a request the first decides. Identity rules are named where workloads get JWT-SVIDs for the audience
without the token endpoint.

Exit code: 0 somebody can, 1 nobody, 66 no answer: the configuration cannot be read or is invalid.

Example:
  assay policy who-can -c assay.yaml --audience https://ledger.example`
