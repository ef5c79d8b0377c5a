import type { ServerDuplexStream } from "@grpc/grpc-js"
import type { IdentityView } from "../../app/deliver/identity-source.ts"
import type { Millis } from "../../core/time.ts"
import type { Consumer } from "./consumer.ts"
import type { SdsDoor, SdsEvents } from "./sds-events.ts"
import type { SecretSet } from "./secret-set.ts"
import type { Receipt, Reply, Session } from "./session.ts"
import type { FedStream, SourceFeed } from "./source-feed.ts"

/** What a stream shares with the others of its service. */
export interface SdsStreamDeps<Request> {
  readonly door: SdsDoor
  readonly events: SdsEvents
  readonly encode: (reply: Reply) => Buffer
  /** Monotonic. */
  readonly now: () => Millis
  readonly session: Session<Request>
  readonly secrets: (view: IdentityView) => SecretSet
  readonly feed: SourceFeed
  /** At most 253 bytes. */
  readonly consumerName: string
}

/** One live stream: moves replies of its session to the wire, one write at a time, and skips what was overtaken. */
export class SdsStream<Request> implements FedStream {
  readonly #call: ServerDuplexStream<Request, Buffer>
  readonly #deps: SdsStreamDeps<Request>
  readonly #consumer: Consumer
  /** When the write began that has not ended. */
  #writingSince: Millis | undefined
  /** The peer reads nothing: whoever waits for what it was sent does not have to. */
  #isStuck = false
  #closed = false

  constructor(call: ServerDuplexStream<Request, Buffer>, deps: SdsStreamDeps<Request>) {
    this.#call = call
    this.#deps = deps
    this.#consumer = deps.feed.join(this, deps.consumerName)
    deps.events.opened(deps.door, deps.consumerName)
    const view = deps.feed.view
    if (view !== undefined) this.publish(view)
  }

  /** @throws IdentityError `malformed`: the stream is to be refused */
  receive(request: Request): void {
    this.#note(this.#deps.session.receive(request))
    this.pump()
  }

  publish(view: IdentityView): void {
    this.#deps.session.publish(this.#deps.secrets(view))
    this.#update()
  }

  pump(): void {
    if (this.#writingSince !== undefined || this.#closed) return
    // What was published before the identities were taken away is not sent after it. @see SDS-13
    const isOver = this.#deps.feed.view === undefined
    const now = this.#deps.now()
    const reply = isOver ? undefined : this.#deps.session.next(this.#consumer.mustHold(this), now)
    if (reply !== undefined) this.#writingSince = now
    this.#update()
    if (reply === undefined) return
    this.#deps.events.pushed(this.#deps.door)
    this.#call.write(this.#deps.encode(reply), this.#written)
  }

  /**
   * Go on without the answer to what was sent before `deadline`, so that a mute peer still gets the newest secrets. To one that does not
   * even read nothing more is sent, and the other streams of its proxy go on without it. @see XDS-08
   */
  giveUpWaiting(deadline: Millis): void {
    const isLate = this.#deps.session.giveUpWaiting(deadline)
    const isStuck = this.#writingSince !== undefined && this.#writingSince <= deadline
    if (isStuck && !this.#isStuck) {
      this.#isStuck = true
      this.#update()
    }
    if (isLate) this.pump()
  }

  /** Stop sending, and take back what was said of the proxy. */
  leave(why: string): void {
    this.#closed = true
    this.#deps.feed.leave(this)
    this.#deps.events.closed(this.#deps.door, this.#deps.consumerName, why)
  }

  readonly #written = (): void => {
    this.#writingSince = undefined
    this.#isStuck = false
    this.pump()
  }

  #update(): void {
    if (this.#closed) return
    const { standing, trustPending } = this.#deps.session
    this.#consumer.update(this, standing, trustPending && !this.#isStuck)
  }

  #note(receipt: Receipt): void {
    const { door, events, consumerName } = this.#deps
    switch (receipt.kind) {
      case "acknowledged":
        events.acknowledged(door)
        break
      case "refused":
        events.refused(door, consumerName, receipt.names, receipt.reason)
        break
      case "stale":
        events.stale(door)
        break
      case "subscribed":
        break
    }
  }
}
