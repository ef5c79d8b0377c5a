import { bundleOf, type Replica, type Stored, signersOf, type Workload, type World } from "./world.ts"

/**
 * Equal for worlds that cannot be told apart: workloads and replicas have no names; of a record that is not the newest only what
 * a server does by it counts; and of epochs only how they stand to those that somebody compares with.
 */
export function keyOf(world: World): string {
  const rank = ranks(world)
  const head = `${encodeStored(world.db, rank)}${world.starts}${world.rollbacks}.${world.emergencies}.${world.stolen}`
  const orders = world.replicas.length === 2 ? PAIR : [world.replicas.map((_, index) => index)]
  const keys = orders.map((order) => {
    const replicas = order.map((index) => encodeReplica(world.replicas[index], world.db, rank)).join("|")
    const workloads = world.workloads.map((workload) => encodeWorkload(workload, order, rank))
    return `${replicas}/${workloads.sort().join("")}`
  })
  return head + keys.sort()[0]
}

/** Even for an epoch that others are compared with, odd for one between two of them. */
type Rank = (epoch: number) => number

function ranks({ db, replicas }: World): Rank {
  const used = new Set([0, 1])
  const add = (stored: Stored | undefined) => {
    if (stored === undefined) return
    used.add(stored.epoch).add(stored.required)
    if ("epoch" in stored.state) used.add(stored.state.epoch)
  }
  add(db)
  for (const { view, decided } of replicas) {
    add(view)
    add(decided)
  }
  const sorted = [...used].sort((left, right) => left - right)
  return (epoch) => {
    const at = sorted.findIndex((one) => one >= epoch)
    return sorted[at] === epoch ? at * 2 : at * 2 - 1
  }
}

function encodeStored({ state, epoch, required, root }: Stored, rank: Rank): string {
  if (state.phase === "stable") return `s${rank(epoch)}${rank(required)}${root}`
  const flags = `${state.auto ? 1 : 0}${state.stopped === undefined ? 0 : 1}${state.emergency ? 1 : 0}`
  const points = state.waivers
    .flatMap(({ point, consumers }) => consumers.map((id) => `${point}${id}`))
    .sort()
    .join(";")
  const gone = state.emergency && "next" in state ? [state.old, ...state.others].join(",") : ""
  const rest = state.phase === "planned" ? "" : `${state.next}${rank(state.epoch)}<${gone}`
  return `${state.phase}.${rank(epoch)}${rank(required)}${root}${flags}${rest}${points}`
}

function encodeReplica(replica: Replica | undefined, db: Stored, rank: Rank): string {
  if (replica?.view === undefined) return "-"
  const decided = replica.decided === undefined ? "" : `>${encodeStored(replica.decided, rank)}`
  return `${replica.view === db ? "=" : encodeStale(replica.view, rank)}${decided}`
}

function encodeStale(view: Stored, rank: Rank): string {
  return `~${bundleOf(view)}${signersOf(view).join("")}.${rank(view.epoch)}${rank(view.required)}`
}

function encodeWorkload(workload: Workload, order: readonly number[], rank: Rank): string {
  const { replica, epoch, bundle, acked, ackedEver, holds, unexpired, refused, waived } = workload
  const facts = `${order.indexOf(replica) + 1}${rank(epoch)}${bundle}${rank(acked)}${rank(ackedEver)}${holds}${unexpired}`
  return `${facts}${refused ? 1 : 0}${waived ? 1 : 0};`
}

const PAIR = [
  [0, 1],
  [1, 0],
]
