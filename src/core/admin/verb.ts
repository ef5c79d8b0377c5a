/**
 * What an operator can be given a right to. An operation has one verb, and whatever cancels, alters or approves has the verb of
 * what it starts. @see INV-36
 */
export type AdminVerb = (typeof ADMIN_VERBS)[number]

export const ADMIN_VERBS = ["status", "issuances", "rotation", "bans", "audit", "approvals"] as const
