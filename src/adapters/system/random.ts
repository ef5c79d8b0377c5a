import { randomFillSync } from "node:crypto"
import type { Random } from "../../ports/random.ts"

/** Random bytes of OpenSSL's generator, drawn in blocks since one call costs more than the bytes. None is given out twice. */
export function makeSystemRandom(): Random {
  const pool = new Uint8Array(POOL)
  let used = POOL
  return (bytes) => {
    if (!Number.isInteger(bytes) || bytes < 0) throw new RangeError("random: not a number of bytes")
    if (bytes > POOL) return randomFillSync(new Uint8Array(bytes))
    if (used + bytes > POOL) {
      randomFillSync(pool)
      used = 0
    }
    const drawn = pool.slice(used, used + bytes)
    pool.fill(0, used, used + bytes)
    used += bytes
    return drawn
  }
}

const POOL = 4096
