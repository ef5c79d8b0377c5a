import { APPROVAL_CONTRACTS } from "./approval-contracts.ts"
import { auditSearch } from "./audit-operations.ts"
import { BAN_CONTRACTS } from "./ban-operations.ts"
import { consumersList } from "./consumer-operations.ts"
import type { Contract } from "./contract.ts"
import { issuanceSearch } from "./issuance-operations.ts"
import { ROTATION_CONTRACTS } from "./rotation-contracts.ts"
import { authoritiesList, statusShow } from "./status-operations.ts"

/** Every operation there is: the OpenAPI document is made from it, and a server that lacks one does not start. */
export const CONTRACTS: readonly Contract[] = [
  statusShow,
  authoritiesList,
  consumersList,
  issuanceSearch,
  auditSearch,
  ...ROTATION_CONTRACTS,
  ...BAN_CONTRACTS,
  ...APPROVAL_CONTRACTS,
]
