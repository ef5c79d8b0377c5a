/** Whether a secret proves who we are or says whom we trust. */
export type SecretKind = "certificate" | "trust"

/** One Envoy secret, ready for the wire. */
export interface EncodedSecret {
  /** The name it was asked for by. */
  readonly name: string
  readonly kind: SecretKind
  /** Derived from the content alone: equal content has an equal version on every stream and every replica. */
  readonly version: string
  /** A serialized google.protobuf.Any. */
  readonly resource: Uint8Array
}

/** Every secret of one identity view, by name. */
export interface SecretSet {
  /** Epoch of the trust snapshot that the set was made of. */
  readonly epoch: number
  /** `undefined`: there is no such secret now; there may be one in a later set. @see SDS-07 */
  find(name: string): EncodedSecret | undefined
  /**
   * What takes a bundle back from a proxy that has it, for a name that {@link find} does not find: a context that trusts nobody.
   * `undefined`: nothing is to be taken back by this name, or what it names may come yet. @see SDS-22
   */
  withdraw(name: string): EncodedSecret | undefined
}
