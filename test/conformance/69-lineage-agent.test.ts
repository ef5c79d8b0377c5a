import assert from "node:assert/strict"
import { test } from "node:test"
import { processKeys } from "../../src/adapters/process-keys/process-keys.ts"
import { makeLocalAuthority } from "../../src/app/deliver/local-authority.ts"
import { IdentityError } from "../../src/core/errors.ts"
import type { Outcome, X509Issued } from "../../src/ports/identity-authority.ts"
import { AgentUnderTest } from "../support/agent-under-test.ts"
import { entitled } from "../support/fake-authority.ts"
import { type IssueFixture, NEVER, openIssueFixture } from "../support/issue-fixture.ts"

const WEB = entitled("/ns/shop/sa/web")
const DOWN = new IdentityError("not-ready", "the server cannot be reached")

async function ready(agent: AgentUnderTest): Promise<void> {
  agent.authority.stream.snapshot(1, [WEB])
  await agent.settle()
  assert.equal(agent.kind, "ready")
}

/** The last order, with the name of its key. */
function lastOrder({ authority }: AgentUnderTest) {
  const [order] = authority.x509Calls.at(-1) ?? []
  assert.ok(order !== undefined)
  return { renews: order.renews, key: Buffer.from(order.key.publicKey).toString("hex") }
}

test("[LIN-10] an agent quotes what it received last, and nothing at first or once that has expired", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent)
  assert.equal(lastOrder(agent).renews, undefined)
  await agent.clock.advance(501)
  const first = lastOrder(agent).renews
  assert.match(first ?? "", /^1+$/)
  await agent.clock.advance(501)
  assert.notEqual(lastOrder(agent).renews, first)
  agent.authority.down = DOWN
  await agent.clock.advance(1100)
  assert.equal(lastOrder(agent).renews, undefined)
})

test("[LIN-10] an agent asks again with the same quote and key until it is answered, then with another key", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent)
  agent.authority.down = DOWN
  await agent.clock.advance(501)
  const asked = lastOrder(agent)
  const tries = agent.authority.x509Calls.length
  await agent.clock.advance(120)
  assert.ok(agent.authority.x509Calls.length > tries)
  assert.deepEqual(lastOrder(agent), asked)
  agent.authority.down = undefined
  await agent.clock.advance(60)
  assert.deepEqual(lastOrder(agent), asked)
  await agent.clock.advance(501)
  assert.notEqual(lastOrder(agent).key, asked.key)
  assert.notEqual(lastOrder(agent).renews, asked.renews)
})

test("[LIN-10] an agent that could not use what it received quotes that all the same, for another key", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent)
  agent.unverifiable.add(WEB.spiffeId)
  await agent.clock.advance(501)
  const refused = lastOrder(agent)
  await agent.clock.advance(60)
  assert.notEqual(lastOrder(agent).renews, refused.renews)
  assert.notEqual(lastOrder(agent).key, refused.key)
})

test("[LIN-10] an agent that was evicted begins anew", async () => {
  await using agent = new AgentUnderTest()
  await ready(agent)
  agent.authority.stream.push({ kind: "evict", reason: "test" })
  await agent.settle()
  agent.authority.stream.snapshot(1, [WEB])
  await agent.settle()
  assert.equal(lastOrder(agent).renews, undefined)
})

test("[LIN-11] what the server renews for a proxy quotes what it got itself, as an agent does", async () => {
  const fixture = await openIssueFixture()
  const first = await order(fixture, undefined)
  const second = await order(fixture, serialOf(first))
  const copied = await order(fixture, serialOf(first))
  assert.ok(second.kind === "issued" && copied.kind === "failed")
  assert.equal(copied.error.reason, "lineage-violated")
})

/** One order for a proxy, for a fresh key. */
async function order(fixture: IssueFixture, renews: string | undefined): Promise<Outcome<X509Issued>> {
  const unused = (): never => assert.fail("not part of the test")
  const subscription = { watchEntitlements: unused, holderOf: unused, subscribers: undefined as never }
  const { issueX509, issueJwt } = fixture
  const deps = { ...subscription, issueX509, issueJwt, newRequestId: () => "r1" }
  const key = await processKeys.makeWorkloadKey("ec-p256")
  const [outcome] = await makeLocalAuthority(deps, "token").issueX509([{ ...WEB, key, renews }], NEVER)
  return outcome ?? assert.fail("no outcome")
}

function serialOf(outcome: Outcome<X509Issued>): string {
  return outcome.kind === "issued" ? outcome.value.serial : assert.fail("it failed")
}
