import { randomBytes } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Child } from "./child.ts"
import { freePort } from "./free-port.ts"
import { KubeApi } from "./kube-api.ts"
import { peerFile } from "./peer.ts"
import type { TokenSigner } from "./token-signer.ts"

export interface KubeProcesses {
  readonly url: string
  /** PEM */
  readonly ca: string
  readonly adminToken: string
  readonly apiserver: Child
  readonly etcd: Child
}

export interface KubeOrder {
  /** `iss` of its service-account tokens. */
  readonly issuer: string
  readonly signer: TokenSigner
  /** For `--authentication-config`. */
  readonly authenticationConfig: string | undefined
}

/** Start etcd and an API server (Node and RBAC authorisation, NodeRestriction) whose files lie in `folder`. */
export async function startKubeProcesses(
  folder: string,
  { issuer, signer, authenticationConfig }: KubeOrder,
  stack: AsyncDisposableStack,
): Promise<KubeProcesses> {
  const adminToken = randomBytes(16).toString("hex")
  await writeFile(join(folder, "tokens.csv"), `${adminToken},kube-admin,admin-uid,system:masters\n`)
  await writeFile(join(folder, "sa.key"), signer.privateKeyPem)
  await writeFile(join(folder, "sa.pub"), signer.publicKeyPem)
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()]
  const etcd = stack.use(await startEtcd(folder, client, peer))
  const url = `https://127.0.0.1:${port}`
  const args = apiserverArgs({ folder, port, issuer, authenticationConfig, etcd: `http://127.0.0.1:${client}` })
  const command = await peerFile("kube-apiserver", "kube-apiserver")
  const apiserver = stack.use(new Child({ name: "kube-apiserver", command, args, log: join(folder, "apiserver.log") }))
  const ca = await apiserver.until("ready", () => readyCa(folder, url), READY_MILLIS)
  return { url, ca, adminToken, apiserver, etcd }
}

async function startEtcd(folder: string, client: number, peer: number): Promise<Child> {
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`]
  return new Child({
    name: "etcd",
    command: await peerFile("etcd", "etcd"),
    args: [
      ...["--data-dir", join(folder, "etcd"), "--unsafe-no-fsync", "--log-level", "warn"],
      ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `default=${peerUrl}`],
    ],
    log: join(folder, "etcd.log"),
  })
}

interface ApiserverArgs {
  readonly folder: string
  readonly port: number
  readonly issuer: string
  readonly authenticationConfig: string | undefined
  readonly etcd: string
}

function apiserverArgs({ folder, port, issuer, authenticationConfig, etcd }: ApiserverArgs): string[] {
  return [
    `--etcd-servers=${etcd}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, "certs")}`,
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--authorization-mode=Node,RBAC",
    `--token-auth-file=${join(folder, "tokens.csv")}`,
    `--service-account-issuer=${issuer}`,
    `--service-account-jwks-uri=https://127.0.0.1:${port}/openid/v1/jwks`,
    `--service-account-signing-key-file=${join(folder, "sa.key")}`,
    `--service-account-key-file=${join(folder, "sa.pub")}`,
    `--api-audiences=${issuer}`,
    // There is no controller-manager that would make the default service accounts this plugin asks for.
    "--disable-admission-plugins=ServiceAccount",
    "--enable-admission-plugins=NodeRestriction",
    "--v=1",
    ...(authenticationConfig === undefined ? [] : [`--authentication-config=${authenticationConfig}`]),
  ]
}

/** The CA is the second certificate in the serving file that the API server makes for itself. */
async function readyCa(folder: string, url: string): Promise<string | undefined> {
  const certificates = (await readFile(join(folder, "certs/apiserver.crt"), "utf8")).split(/(?=-----BEGIN )/)
  const ca = certificates[1]
  if (ca === undefined) return undefined
  const { status } = await new KubeApi(url, ca, "").raw("GET", "/readyz")
  return status === 200 ? ca : undefined
}

const READY_MILLIS = 180_000
