import { webcrypto } from "node:crypto"

export type CryptoProviderName = "native" | "peculiar"

/**
 * The WebCrypto implementation that makes long-lived keys and that `@peculiar/x509` works with. `@peculiar` packages are loaded
 * only when `peculiar` is chosen: left alone, the library works with Node's, and it costs a server some 5 MiB.
 */
export async function chooseCryptoProvider(name: CryptoProviderName): Promise<webcrypto.Crypto> {
  if (name === "native") return webcrypto
  const chosen = await loadPeculiar()
  const { cryptoProvider } = await loadX509()
  cryptoProvider.set(chosen)
  return chosen
}

async function loadPeculiar(): Promise<webcrypto.Crypto> {
  const { Crypto } = await import("@peculiar/webcrypto")
  return new Crypto()
}

async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  await import("reflect-metadata") // its dependency injection needs this loaded first
  return import("@peculiar/x509")
}
