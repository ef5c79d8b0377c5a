export { type ErrorCode, IdentityError } from "../core/errors.ts"
export type { SpiffeId, TrustDomain } from "../core/spiffe/id.ts"
export { type AccessTokenReason, type Challenge, challengeOf } from "./access-token-refusal.ts"
export type { DpopRequest, TokenProof, VerifiedAccessToken, VerifyAccessToken } from "./access-token-verifier.ts"
export {
  type Authorize,
  authorizeAny,
  authorizeId,
  authorizeMemberOf,
  authorizeOneOf,
} from "./authorize.ts"
export type { Fetch } from "./bounded-fetch.ts"
export { type Connector, makeConnector, makeHttpsAgent } from "./connector.ts"
export { makeChannelCredentials } from "./grpc-channel.ts"
export { makeServerCredentials, peerOfCall } from "./grpc-server.ts"
export type { FetchJwtOptions, JwtSource, JwtSvid, ValidJwtSvid } from "./jwt-source.ts"
export { type AccessTokenVerifierOptions, makeAccessTokenVerifier } from "./make-access-token-verifier.ts"
export { type JwtSourceOptions, openJwtSource } from "./open-jwt-source.ts"
export { openX509Source, type X509SourceOptions } from "./open-x509-source.ts"
export type { PeerIdentity } from "./peer.ts"
export { makeSvidFetch } from "./svid-fetch.ts"
export { type TlsClientOptions, tlsClientOptions } from "./tls-client.ts"
export { makeTlsServer, peerOf } from "./tls-server.ts"
export type { IssuedToken, TokenTarget, TypedToken } from "./token-client.ts"
export { TokenEndpointError } from "./token-endpoint-error.ts"
export { type ExchangeOptions, makeTokenSource, type TokenSource, type TokenSourceOptions } from "./token-source.ts"
export type { WorkloadOptions } from "./workload-options.ts"
export type { PickSvid, X509Bundles, X509Context } from "./x509-context.ts"
export type { X509Holder, X509Source } from "./x509-source.ts"
