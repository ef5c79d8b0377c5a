import type { ControllerLease } from "../../core/authority/controller-lease.ts"
import { type RotationKind, type RotationState, STABLE, type Waiver } from "../../core/authority/rotation-state.ts"
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts"
import type { LooseKeys } from "../../ports/authority-journal.ts"
import { booleanIn, integerIn, objectOf, objectsIn, oneOf, textIn, textsIn } from "./json-fields.ts"

/** @throws TypeError as {@link parseAuthority} */
export function parseRotations(value: Json | undefined): Readonly<Record<RotationKind, RotationState>> {
  if (value === undefined) return { x509: STABLE, jwt: STABLE }
  const rotations = objectOf(value, "rotations")
  return { x509: parseRotation(rotations["x509"]), jwt: parseRotation(rotations["jwt"]) }
}

/** @throws TypeError as {@link parseRotations} */
export function parseLooseKeys(value: Json): Readonly<Partial<Record<RotationKind, LooseKeys>>> {
  const kinds = objectOf(value, "looseKeys")
  const named = KINDS.filter((kind) => kinds[kind] !== undefined)
  return Object.fromEntries(named.map((kind) => [kind, parseLoose(objectOf(kinds[kind], kind))]))
}

function parseLoose(loose: JsonObject): LooseKeys {
  const chosen = loose["chosen"] === undefined ? {} : { chosen: textIn(loose, "chosen") }
  return { ...chosen, left: textsIn(loose, "left") }
}

export function parseEpochs(value: Json): Readonly<Partial<Record<RotationKind, number>>> {
  const epochs = objectOf(value, "emergencyEpochs")
  const named = KINDS.filter((kind) => epochs[kind] !== undefined)
  return Object.fromEntries(named.map((kind) => [kind, integerIn(epochs, kind)]))
}

export function parseController(value: Json | undefined): ControllerLease | undefined {
  if (!isJsonObject(value)) return undefined
  return { holder: textIn(value, "holder"), token: integerIn(value, "token"), until: integerIn(value, "until") }
}

function parseRotation(value: Json | undefined): RotationState {
  const state = objectOf(value, "rotation")
  const phase = oneOf(state, "phase", ["stable", "planned", ...ROTATING])
  if (phase === "stable") return STABLE
  const begun = parseBegun(state)
  if (phase === "planned") return { ...begun, phase }
  // Before emergencies took out everything, nothing but the old one left.
  const others = state["others"] === undefined ? [] : textsIn(state, "others")
  const next = { next: textIn(state, "next"), others, epoch: integerIn(state, "epoch") }
  return { ...begun, ...next, epochSince: integerIn(state, "epochSince"), phase }
}

function parseBegun(state: JsonObject) {
  const canary = objectOf(state["canary"], "canary")
  return {
    id: textIn(state, "id"),
    old: textIn(state, "old"),
    keyId: textIn(state, "keyId"),
    startedAt: integerIn(state, "startedAt"),
    since: integerIn(state, "since"),
    auto: booleanIn(state, "auto"),
    stopped: state["stopped"] === undefined ? undefined : textIn(state, "stopped"),
    paused: booleanIn(state, "paused"),
    ...(state["heldSince"] === undefined ? {} : { heldSince: integerIn(state, "heldSince") }),
    ...(state["heldFor"] === undefined ? {} : { heldFor: integerIn(state, "heldFor") }),
    emergency: booleanIn(state, "emergency"),
    canary: { namespaces: textsIn(canary, "namespaces"), prefixes: textsIn(canary, "prefixes") },
    waivers: objectsIn(state, "waivers").map(parseWaiver),
  }
}

function parseWaiver(waiver: JsonObject): Waiver {
  return {
    point: oneOf(waiver, "point", ["sp1", "sp2", "sp3", "canary", "signing", "unused"]),
    by: textIn(waiver, "by"),
    reason: textIn(waiver, "reason"),
    at: integerIn(waiver, "at"),
    consumers: textsIn(waiver, "consumers"),
    ...(waiver["unnamed"] === undefined ? {} : { unnamed: integerIn(waiver, "unnamed") }),
  }
}

const KINDS: readonly RotationKind[] = ["x509", "jwt"]
const ROTATING = [
  "keyed",
  "publishing",
  "published",
  "canary",
  "active",
  "draining",
  "drained",
  "retiring",
  "retired",
  "unpublishing",
] as const
