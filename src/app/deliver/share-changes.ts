import { type ChangeSignal, makeChangeSignal } from "../../core/change-signal.ts"

/**
 * `changed`, waited for once, however many wait here: half of what a change costs with twenty thousand streams. Whoever waits when a change
 * comes hears of it, in the order of the calls.
 */
export function shareChanges(changed: ChangeSignal["changed"]): ChangeSignal["changed"] {
  const shared = makeChangeSignal()
  let isArmed = false
  const arm = () => {
    isArmed = true
    void changed(NEVER).then(() => {
      isArmed = false
      shared.fire()
    })
  }
  return (signal) => {
    if (!isArmed) arm()
    return shared.changed(signal)
  }
}

const NEVER = new AbortController().signal
