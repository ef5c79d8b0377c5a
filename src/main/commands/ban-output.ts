import type { bansAdd, bansLift, bansList } from "../../transports/admin/ban-operations.ts"
import type { ResponseOf } from "../../transports/admin/contract.ts"
import { columns } from "./columns.ts"
import { lifeLeft, spanText } from "./life-left.ts"

type Added = ResponseOf<typeof bansAdd>

/** What a ban did, or would do. */
export function addedText({ kind, name }: { readonly kind: string; readonly name: string }, reply: Added): string {
  const { changed, ban, now, warning } = reply
  const warned = warning === undefined ? [] : [`warning: ${warning}`]
  if (!changed) {
    const already = ban === undefined ? [] : [`It is banned already, ${endText(ban.until, now)}: ${ban.reason}`]
    const head = `nothing was changed; --yes bans ${kind} ${name}.`
    return [head, ...already, wouldText(kind, reply.streams), holdersText(reply), ...warned].join("\n")
  }
  const head = `banned: ${kind} ${name}, ${endText(ban?.until, now)}.`
  return [head, toldText(reply), holdersText(reply), ...warned].join("\n")
}

export function liftedText({ kind, name }: ResponseOf<typeof bansLift>): string {
  return `lifted: ${kind} ${name} may have identities again; agents come back within five minutes.`
}

export function bansTable({ bans, total, now }: ResponseOf<typeof bansList>): string {
  const rows = bans.map(({ kind, name, created_at: since, until, actor, reason }) => {
    return [
      kind,
      name,
      `${spanText(now - since)} ago`,
      until === undefined ? "lifted" : lifeLeft(until, now),
      actor,
      reason,
    ]
  })
  const more = total > bans.length ? [`(${total - bans.length} more; --limit shows them)`] : []
  return [...columns([["KIND", "NAME", "BANNED", "UNTIL", "BY", "WHY"], ...rows]), ...more].join("\n")
}

function wouldText(kind: string, streams: number | undefined): string {
  if (streams === undefined) return "Whose streams that concerns is not known."
  if (kind === "key") return `It would tell ${counted(streams, "live stream")} to go on with another key.`
  return `It would end ${counted(streams, "live stream")}, or tell them what is left.`
}

function toldText({ streams, late }: Added): string {
  if (streams === undefined || late === undefined)
    return "Whose streams that concerns is not known yet; they are told as soon as it is."
  const slow = late === 0 ? "" : ` ${late} of them did not take it within a second, and will when they read.`
  return `${counted(streams, "live stream")} told.${slow}`
}

function holdersText({ holders, holds_until: until, now }: Added): string {
  if (holders === undefined) return "How many hold certificates is not known."
  if (until === undefined) return "Nobody whom it names holds a certificate that has not expired."
  const held = holders === 1 ? "One holds certificates" : `${holders} hold certificates`
  return `${held}, the last until ${lifeLeft(until, now)}.`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`
}

function endText(until: number | undefined, now: number): string {
  return until === undefined ? "until it is lifted" : `until ${lifeLeft(until, now)}`
}
