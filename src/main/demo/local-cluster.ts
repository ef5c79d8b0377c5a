import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto"
import type { Instant, Seconds } from "../../core/time.ts"

/** A service account's pod in the stand-in cluster. */
export interface LocalPod {
  readonly namespace: string
  readonly serviceAccount: string
  readonly serviceAccountUid: string
  readonly name: string
  readonly uid: string
  readonly node: { readonly name: string; readonly uid: string }
}

export interface LocalTokenOrder {
  readonly audience: readonly string[]
  readonly lifetime: Seconds
}

export interface LocalReview {
  readonly apiVersion: "authentication.k8s.io/v1"
  readonly kind: "TokenReview"
  readonly status: Readonly<Record<string, unknown>>
}

/**
 * Stands in for a Kubernetes cluster where there is none: it makes pods and their bound tokens, publishes its keys and
 * reviews tokens, each in the API's own form. It keeps every pod it was told of and checks no permissions: not for production.
 */
export class LocalCluster {
  readonly issuer: string
  readonly #now: () => Instant
  readonly #pods = new Map<string, LocalPod>()
  #keys: readonly SigningKey[] = [makeKey()]

  constructor(issuer: string, now: () => Instant) {
    this.issuer = issuer
    this.#now = now
  }

  createPod(namespace: string, serviceAccount: string, name: string): LocalPod {
    const pod = {
      namespace,
      serviceAccount,
      serviceAccountUid: stableUid(`${namespace}/${serviceAccount}`),
      name,
      uid: randomUUID(),
      node: { name: "local-node", uid: stableUid("local-node") },
    }
    this.#pods.set(pod.uid, pod)
    return pod
  }

  deletePod(uid: string): void {
    this.#pods.delete(uid)
  }

  /** A bound token as the kubelet would project it. */
  issueToken(pod: LocalPod, { audience, lifetime }: LocalTokenOrder): string {
    const now = this.#now()
    return this.signToken({
      aud: audience,
      exp: now + lifetime,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace: pod.namespace,
        node: pod.node,
        pod: { name: pod.name, uid: pod.uid },
        serviceaccount: { name: pod.serviceAccount, uid: pod.serviceAccountUid },
      },
      nbf: now,
      sub: `system:serviceaccount:${pod.namespace}:${pod.serviceAccount}`,
    })
  }

  /** Sign any claims with the newest key. */
  signToken(claims: Readonly<Record<string, unknown>>): string {
    const { kid, privateKey } = this.#newest()
    const input = `${encode({ alg: "ES256", kid })}.${encode(claims)}`
    const signature = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" })
    return `${input}.${signature.toString("base64url")}`
  }

  /** Sign with a new key from now on. Tokens of the key before still verify; those of older ones do not. */
  rotateKey(): void {
    this.#keys = [makeKey(), this.#newest()]
  }

  /** The JWK Set, as at `/openid/v1/jwks`. */
  jwks(): string {
    return JSON.stringify({ keys: this.#keys.map(({ kid, jwk }) => ({ use: "sig", kid, alg: "ES256", ...jwk })) })
  }

  /** Answer a TokenReview. A JWT must be of this cluster: signatures are not its matter, `aud`, `exp` and the pod are. */
  review(token: string, audiences: readonly string[]): LocalReview {
    const payload = token.split(".")[1]
    if (payload === undefined) return refuse("token is no JWT")
    const claims: TokenClaims = JSON.parse(Buffer.from(payload, "base64url").toString())
    const pod = this.#pods.get(claims["kubernetes.io"].pod.uid)
    const granted = audiences.filter((audience) => claims.aud.includes(audience))
    if (claims.exp <= this.#now()) return refuse("service account token has expired")
    if (granted.length === 0) return refuse("token audiences is invalid for the target audiences")
    if (pod === undefined) return refuse("service account token has been invalidated")
    return reply({ authenticated: true, audiences: granted, user: userOf(pod, claims.jti) })
  }

  #newest(): SigningKey {
    const [newest] = this.#keys
    if (newest === undefined) throw new RangeError("a cluster without keys")
    return newest
  }
}

interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: object
}

interface TokenClaims {
  readonly aud: readonly string[]
  readonly exp: Instant
  readonly jti: string
  readonly "kubernetes.io": { readonly pod: { readonly uid: string } }
}

function makeKey(): SigningKey {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const kid = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url")
  return { kid, privateKey, jwk: publicKey.export({ format: "jwk" }) }
}

function userOf(pod: LocalPod, jti: string): object {
  return {
    username: `system:serviceaccount:${pod.namespace}:${pod.serviceAccount}`,
    uid: pod.serviceAccountUid,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${pod.namespace}`, "system:authenticated"],
    extra: {
      "authentication.kubernetes.io/credential-id": [`JTI=${jti}`],
      "authentication.kubernetes.io/node-name": [pod.node.name],
      "authentication.kubernetes.io/node-uid": [pod.node.uid],
      "authentication.kubernetes.io/pod-name": [pod.name],
      "authentication.kubernetes.io/pod-uid": [pod.uid],
    },
  }
}

function refuse(error: string): LocalReview {
  return reply({ authenticated: false, user: {}, error: `[invalid bearer token, ${error}]` })
}

function reply(status: LocalReview["status"]): LocalReview {
  return { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status }
}

/** The same object has the same UID each time, so that a second start of a demo changes nothing. */
function stableUid(name: string): string {
  const hex = createHash("sha256").update(name).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url")
}
