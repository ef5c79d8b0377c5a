import { type ApprovalReach, judgeApproval } from "../../core/admin/approval-reach.ts"
import type { RuleProblem } from "../../core/rules/rule.ts"
import { configuredRoles } from "../server/admin-roles.ts"
import type { ServerConfig } from "./server-config.ts"

type AdminConfig = Pick<ServerConfig, "admin" | "listen" | "trustDomain">

/** Of each verb that needs a second person; empty when none does. */
export function approvalReach(config: AdminConfig): readonly ApprovalReach[] {
  const { admin, listen } = config
  return judgeApproval(admin.approval?.verbs ?? [], configuredRoles(config), listen.admin !== undefined)
}

/** What nobody could have done but root and the server's own user. @see ADM-29 */
export function approvalWarnings(config: AdminConfig): readonly RuleProblem[] {
  return approvalReach(config)
    .filter(({ kind }) => kind === "machine")
    .map(({ verb }) => ({
      path: APPROVAL,
      message: `what needs the verb ${verb} needs two operators, and one would have to be root or the server's own user: give two a role with the verbs ${verb} and approvals (admin.roles; identities need listen.admin, too)`,
    }))
}

/** Where {@link approvalWarnings} stand. */
export const APPROVAL = ["admin", "approval"] as const
