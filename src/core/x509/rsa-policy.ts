import { TAG } from "./der.ts"
import { DerReader } from "./der-reader.ts"
import { malformed } from "./refusal.ts"

/** Refuse an RSAPublicKey (DER) outside the key policy. @throws IdentityError `malformed`, reason `key-*` @see KEY-03..KEY-07 */
export function checkRsaKey(keyBits: Uint8Array): void {
  const key = new DerReader(keyBits).enterLast(TAG.sequence)
  const modulus = key.positiveInteger()
  const exponent = key.positiveInteger()
  key.end()
  const bits = modulus.length * 8 - Math.clz32((modulus[0] ?? 0) << 24)
  if (bits < MIN_BITS || bits > MAX_BITS || bits % 8 !== 0) {
    throw malformed("key-size", "RSA key is not of 2048 to 4096 bits in whole octets")
  }
  if (Buffer.compare(exponent, F4) !== 0) throw malformed("key-exponent", "RSA exponent is not 65537")
  const n = BigInt(`0x${Buffer.from(modulus).toString("hex")}`)
  if (hasSmallFactor(n)) throw malformed("key-weak", "RSA modulus has a small factor")
  if (hasRocaFingerprint(n)) throw malformed("key-weak", "RSA key comes from a broken generator")
  if (hasCloseFactors(n)) throw malformed("key-weak", "RSA factors are too close")
}

function hasSmallFactor(n: bigint): boolean {
  const rest = n % SMALL_PRIME_PRODUCT
  return SMALL_PRIMES.some((prime) => rest % BigInt(prime) === 0n)
}

/** CVE-2017-15361: modulo each small prime, such a modulus is a power of 65537. */
function hasRocaFingerprint(n: bigint): boolean {
  const rest = n % SMALL_PRIME_PRODUCT
  return ROCA_POWERS.every(({ prime, powers }) => powers.has(Number(rest % BigInt(prime))))
}

/** Fermat's method: finds the factors at once when they are close (CVE-2022-26320). */
function hasCloseFactors(n: bigint): boolean {
  let a = squareRoot(n)
  if (a * a < n) a++
  let b2 = a * a - n
  for (let round = 0; round < FERMAT_ROUNDS; round++) {
    if (isSquare(b2)) return true
    b2 += 2n * a + 1n
    a++
  }
  return false
}

function isSquare(n: bigint): boolean {
  // Seven of eight numbers that are not squares fail here, before the costly root.
  if (!SQUARES_MOD_64.has(Number(n & 63n))) return false
  const root = squareRoot(n)
  return root * root === n
}

/** Newton's method from above: falls until it is the root. */
function squareRoot(n: bigint): bigint {
  if (n < 2n) return n
  let root = 1n << BigInt((n.toString(16).length * 4 + 1) >> 1)
  for (;;) {
    const next = (root + n / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

function primesTo(limit: number): readonly number[] {
  const candidates = Array.from({ length: limit - 2 }, (_, i) => i + 3)
  return candidates.filter((n) => n % 2 === 1 && !candidates.some((d) => d * d <= n && n % d === 0))
}

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>()
  for (let value = 1; !powers.has(value); value = (value * 65537) % prime) powers.add(value)
  return powers
}

const MIN_BITS = 2048
const MAX_BITS = 4096
const FERMAT_ROUNDS = 110
const F4 = Uint8Array.from([1, 0, 1])
const SMALL_PRIMES = [2, ...primesTo(751)]
const SMALL_PRIME_PRODUCT = SMALL_PRIMES.reduce((product, prime) => product * BigInt(prime), 1n)
const SQUARES_MOD_64 = new Set(Array.from({ length: 64 }, (_, i) => (i * i) % 64))
/** The primes whose product is the generator's primorial for the smallest keys, so that every affected size is found. */
const ROCA_POWERS = primesTo(167).map((prime) => ({ prime, powers: powersOf65537(prime) }))
