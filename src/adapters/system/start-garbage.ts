import { Session } from "node:inspector/promises"

/**
 * Give back what starting took: the heap of this thread is collected and shrinks to what is left, which takes about 0.1 s. To be
 * called once, when a long-lived process has started. Never rejects: it is no harm when the memory stays.
 */
export async function dropStartGarbage(): Promise<void> {
  const session = new Session()
  try {
    session.connect()
    await session.post("HeapProfiler.collectGarbage")
  } catch {
    // Node may be built without the inspector.
  } finally {
    session.disconnect()
  }
}
