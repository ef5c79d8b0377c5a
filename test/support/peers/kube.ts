import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { makeScratch } from "../scratch.ts"
import { KubeApi, type KubeObject, textAt } from "./kube-api.ts"
import { type KubeProcesses, startKubeProcesses } from "./kube-process.ts"
import { TokenSigner } from "./token-signer.ts"

export interface KubeOptions {
  /** `iss` of the service-account tokens. Default `https://kubernetes.default.svc`. */
  readonly issuer?: string
  /** A file for `--authentication-config`, read by the API server until it ends. */
  readonly authenticationConfig?: string
}

/** A real API server with etcd, without kubelet, scheduler and controllers. Several can run at once. */
export async function startKube({ issuer = DEFAULT_ISSUER, authenticationConfig }: KubeOptions = {}): Promise<Kube> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await makeScratch("kube"))
  const signer = new TokenSigner()
  const processes = await startKubeProcesses(folder.directory, { issuer, signer, authenticationConfig }, stack)
  const { url, ca, adminToken } = processes
  await writeFile(folder.path("ca.crt"), ca)
  await writeFile(folder.path("admin.token"), adminToken, { mode: 0o600 })
  await writeFile(folder.path("admin.kubeconfig"), kubeconfig(url, folder.directory, adminToken), { mode: 0o600 })
  return new Kube(folder.directory, issuer, signer, processes, stack.move())
}

export class Kube implements AsyncDisposable {
  readonly name = "kube-apiserver"
  readonly issuer: string
  readonly url: string
  /** PEM */
  readonly ca: string
  readonly caFile: string
  readonly adminToken: string
  readonly adminTokenFile: string
  /** Path of a kubeconfig of a cluster administrator. */
  readonly adminKubeconfig: string
  /** The cluster's own; needs a token of any service account, or the administrator's. */
  readonly jwksUrl: string
  /** For tokens that no API server would issue, e.g. expired ones. */
  readonly signer: TokenSigner
  /** As cluster administrator. */
  readonly admin: KubeApi
  readonly #folder: string
  readonly #processes: KubeProcesses
  readonly #stack: AsyncDisposableStack

  constructor(
    folder: string,
    issuer: string,
    signer: TokenSigner,
    processes: KubeProcesses,
    stack: AsyncDisposableStack,
  ) {
    this.issuer = issuer
    this.url = processes.url
    this.ca = processes.ca
    this.caFile = join(folder, "ca.crt")
    this.adminToken = processes.adminToken
    this.adminTokenFile = join(folder, "admin.token")
    this.adminKubeconfig = join(folder, "admin.kubeconfig")
    this.jwksUrl = `${processes.url}/openid/v1/jwks`
    this.signer = signer
    this.admin = new KubeApi(processes.url, processes.ca, processes.adminToken)
    this.#folder = folder
    this.#processes = processes
    this.#stack = stack
  }

  logTail(): string {
    return this.#processes.apiserver.logTail()
  }

  /** Stop and continue the API server: it neither answers nor closes. */
  suspend(): void {
    this.#processes.apiserver.signal("SIGSTOP")
  }

  resume(): void {
    this.#processes.apiserver.signal("SIGCONT")
  }

  /** The API as another user. */
  as(token: string): KubeApi {
    return new KubeApi(this.url, this.ca, token)
  }

  async createNamespace(name: string): Promise<void> {
    await this.admin.call("POST", "/api/v1/namespaces", object("v1", "Namespace", { name }))
  }

  /** @returns its uid */
  async createServiceAccount(namespace: string, name: string): Promise<string> {
    return uid(
      await this.admin.call("POST", `${core(namespace)}/serviceaccounts`, object("v1", "ServiceAccount", { name })),
    )
  }

  /** @returns its uid */
  async createNode(name: string): Promise<string> {
    return uid(await this.admin.call("POST", "/api/v1/nodes", object("v1", "Node", { name })))
  }

  /** A pod that is already bound to its node; nothing runs it. @returns its uid */
  async createPod(pod: PodOptions): Promise<string> {
    const spec = {
      serviceAccountName: pod.serviceAccount,
      nodeName: pod.node,
      containers: [{ name: "main", image: "example.invalid/main:1" }],
    }
    const metadata = { name: pod.name, labels: pod.labels ?? {} }
    return uid(await this.admin.call("POST", `${core(pod.namespace)}/pods`, { ...object("v1", "Pod", metadata), spec }))
  }

  /** At once, without grace. Tokens bound to it are refused as soon as the API server's token cache (10 s) forgets them. */
  async deletePod(namespace: string, name: string): Promise<void> {
    const options = { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0 }
    await this.admin.call("DELETE", `${core(namespace)}/pods/${name}`, options)
  }

  /** A token by TokenRequest, as the kubelet asks for one. */
  async requestToken(wanted: TokenOptions): Promise<string> {
    const path = `${core(wanted.namespace)}/serviceaccounts/${wanted.serviceAccount}/token`
    const bound = wanted.boundPod
    const spec = {
      audiences: [wanted.audience],
      expirationSeconds: wanted.expirationSeconds ?? MIN_EXPIRATION,
      ...(bound === undefined ? {} : { boundObjectRef: { apiVersion: "v1", kind: "Pod", ...bound } }),
    }
    const request = { ...object("authentication.k8s.io/v1", "TokenRequest", {}), spec }
    return textAt(await this.admin.call("POST", path, request), "status", "token")
  }

  /** `status` of a TokenReview, asked with `reviewer`'s token, default the administrator's. */
  async reviewToken(token: string, audiences: readonly string[], reviewer = this.adminToken): Promise<KubeObject> {
    const review = { ...object("authentication.k8s.io/v1", "TokenReview", {}), spec: { token, audiences } }
    const reply = await this.as(reviewer).call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    return "status" in reply && typeof reply.status === "object" && reply.status !== null ? reply.status : {}
  }

  /**
   * A service account that may do what Assay's server may and no more: ask TokenReview and read the discovery documents.
   * @returns the path of a file with its token
   */
  async createReviewer(
    namespace: string,
    name: string,
  ): Promise<{ readonly token: string; readonly tokenFile: string }> {
    await this.createServiceAccount(namespace, name)
    const binding = {
      ...object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", { name: `${namespace}-${name}` }),
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:auth-delegator" },
      subjects: [{ kind: "ServiceAccount", namespace, name }],
    }
    await this.admin.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    const wanted = { namespace, serviceAccount: name, audience: this.issuer, expirationSeconds: 3600 }
    const token = await this.requestToken(wanted)
    const tokenFile = join(this.#folder, `${namespace}-${name}.token`)
    await writeFile(tokenFile, token, { mode: 0o600 })
    return { token, tokenFile }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume()
    await this.#stack.disposeAsync()
  }
}

export interface PodOptions {
  readonly namespace: string
  readonly name: string
  readonly serviceAccount: string
  readonly node: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface TokenOptions {
  readonly namespace: string
  readonly serviceAccount: string
  readonly audience: string
  readonly boundPod?: { readonly name: string; readonly uid: string }
  /** Seconds; the API server takes no less than 600, the default here. */
  readonly expirationSeconds?: number
}

function object(apiVersion: string, kind: string, metadata: object): KubeObject {
  return { apiVersion, kind, metadata }
}

function core(namespace: string): string {
  return `/api/v1/namespaces/${namespace}`
}

function uid(created: KubeObject): string {
  return textAt(created, "metadata", "uid")
}

/** JSON is YAML. */
function kubeconfig(server: string, folder: string, token: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": join(folder, "ca.crt") } }],
    users: [{ name: "admin", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    "current-context": "test",
  })
}

const DEFAULT_ISSUER = "https://kubernetes.default.svc"
const MIN_EXPIRATION = 600
