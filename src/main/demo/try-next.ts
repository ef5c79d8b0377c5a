import { GRANT_TYPES, TOKEN_TYPES } from "../../core/oauth/urns.ts"
import type { DemoServer } from "./demo-server.ts"
import { idOf, type World } from "./world.ts"
import { ORDERS } from "./world-files.ts"

/** What to do by hand while the demo stays up. @param envoy whether there is one on this machine */
export async function tryNext(world: World, envoy: boolean): Promise<string> {
  const [server, web] = await Promise.all([world.server(), world.agent("web")])
  const socket = `--socket unix://${web.socket}`
  const lines = [
    ["what web holds now", `npm run -s assay -- api fetch x509 ${socket}`],
    ["watch it rotate, every three seconds or so", `npm run -s assay -- api watch ${socket}`],
    ["a token for api", `npm run -s assay -- api fetch jwt --audience ${idOf("api")} ${socket}`],
    ["exchange web's platform token for an access token once more", curlExchange(server, web.tokenFile)],
    [
      "what relying parties read",
      `curl -s --cacert ${server.rootsFile} ${urlOf(server)}/.well-known/openid-configuration`,
    ],
    [
      "who can have a token for the orders service",
      `npm run -s assay -- policy who-can -c ${server.configFile} --audience ${ORDERS}`,
    ],
    ["everything that was issued", `npm run -s assay -- log search -c ${server.configFile} --limit 10`],
    ["why web has its identity", `npm run -s assay -- explain -c ${server.configFile} -t ${web.tokenFile}`],
    ["who holds what, and what each has proven", `npm run -s assay -- consumers list -c ${server.configFile}`],
    [
      "replace the root once more, and watch it",
      `npm run -s assay -- rotation start --auto -c ${server.configFile} && npm run -s assay -- rotation status --watch -c ${server.configFile}`,
    ],
    ["metrics", `curl -s http://${server.health}/metrics | grep ^assay_`],
    ["an outage: rotations stop, and go on at once", `kill -STOP ${server.pid}; sleep 5; kill -CONT ${server.pid}`],
    ...(envoy ? await envoyLines(world) : []),
  ]
  const commands = lines.map(([what, command]) => `  # ${what}\n  ${command}\n`).join("")
  return `
The server and both agents stay up; all files are in ${world.folder}. In another terminal, in this folder:

${commands}${envoy ? "" : NO_ENVOY}
Ctrl-C stops everything and removes the folder.
`
}

/** The step `token-exchange` by hand. */
function curlExchange(server: DemoServer, tokenFile: string): string {
  const form = [
    `-d grant_type=${GRANT_TYPES["token-exchange"]}`,
    `-d audience=${ORDERS} -d scope=read`,
    `-d subject_token_type=${TOKEN_TYPES.jwt} --data-urlencode subject_token@${tokenFile}`,
  ]
  return `curl -s --cacert ${server.rootsFile} ${urlOf(server)}/token ${form.join(" ")}; echo`
}

/** Its certificate has this name. */
function urlOf({ https }: DemoServer): string {
  return `https://${https}`
}

async function envoyLines(world: World): Promise<string[][]> {
  const { inbound, outbound } = await world.envoys()
  return [
    ["through both Envoys: api's answers whom it saw", `curl -s http://127.0.0.1:${outbound.port}/; echo`],
    ["the certificates that api's Envoy holds", `curl -s ${inbound.admin}/certs`],
  ]
}

/** How to see the step that is missing. */
export const NO_ENVOY = `
No Envoy was found, so envoy-mtls was left out: npm test prepares one and keeps it for later, or put envoy on the PATH.
`
