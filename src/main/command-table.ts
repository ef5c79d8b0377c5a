import { Command } from "commander"
import packageJson from "../../package.json" with { type: "json" }

/** Every command: what help says of it, and the module of `commands/` that has it. */
export const COMMANDS: ReadonlyMap<string, { readonly summary: string; readonly module: string }> = new Map([
  ["init", { summary: "make a new trust domain: its store, root authority and JWT key", module: "init" }],
  ["server", { summary: "run the server", module: "server" }],
  ["backup", { summary: "copy the store into a file, also while the server runs", module: "backup" }],
  ["restore", { summary: "go on from a backup, or from the keys alone", module: "restore" }],
  ["status", { summary: "show what a running server is and holds", module: "status" }],
  ["consumers", { summary: "show who holds certificates and bundles", module: "consumers" }],
  ["rotation", { summary: "rotate the root of the trust domain, on evidence", module: "rotation" }],
  ["ban", { summary: "stop issuing to somebody, at once", module: "ban" }],
  ["doctor", { summary: "check a server, its machine and what it depends on", module: "doctor" }],
  ["completion", { summary: "print what completes command lines in a shell", module: "completion" }],
  ["approval", { summary: "approve what another operator wants done", module: "approval" }],
  ["agent", { summary: "run the agent: Workload API and SDS on a unix socket", module: "agent" }],
  ["validate", { summary: "check a configuration file and exit", module: "validate" }],
  ["explain", { summary: "show which identities a token gets, and why", module: "explain" }],
  ["policy", { summary: "check, explain and compare the rules about tokens", module: "policy" }],
  ["config", { summary: "print the JSON Schema of a configuration file", module: "config-schema" }],
  ["bundle", { summary: "print the bundle that others are to trust", module: "bundle" }],
  ["oidc", { summary: "what relying parties such as kube-apiserver need to trust the issuer", module: "oidc" }],
  ["log", { summary: "search the issuance log", module: "log" }],
  ["audit", { summary: "verify, search and export the audit log", module: "audit" }],
  ["api", { summary: "ask the Workload API as a workload would", module: "api" }],
  ["write", { summary: "keep PEM files current for programs that read files", module: "write" }],
  ["exec", { summary: "run a command with the files of its identity", module: "exec" }],
])

/** Load a command, and add it. */
export async function registerCommand(program: Command, module: string): Promise<void> {
  const name = `register${module.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())}`
  const loaded: unknown = await import(`./commands/${module}.ts`)
  const member = Object.entries(loaded ?? {}).find(([key]) => key === name)?.[1]
  if (typeof member !== "function") throw new TypeError(`commands/${module}.ts does not export ${name}`)
  member(program)
}

/** The program with all of its commands: for what lists them, and never for a command that is run. */
export async function buildWholeProgram(): Promise<Command> {
  const program = new Command("assay")
    .version(packageJson.version)
    .option("--verbose", "print where an error comes from")
  for (const { module } of COMMANDS.values()) await registerCommand(program, module)
  return program
}
