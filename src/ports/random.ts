/** Fresh bytes from a cryptographic source. */
export type Random = (bytes: number) => Uint8Array
