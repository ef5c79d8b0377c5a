/** Grant types of `/token`, as they are written in requests and metadata. @see CC-03 TX-01 JB-02 */
export const GRANT_TYPES = {
  client_credentials: "client_credentials",
  "token-exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
  "jwt-bearer": "urn:ietf:params:oauth:grant-type:jwt-bearer",
} as const

/** Types of tokens in an exchange. @see TX-02 */
export const TOKEN_TYPES = {
  accessToken: "urn:ietf:params:oauth:token-type:access_token",
  idToken: "urn:ietf:params:oauth:token-type:id_token",
  jwt: "urn:ietf:params:oauth:token-type:jwt",
  /** Ours: a CSR goes in, a certificate chain comes out. */
  x509Svid: "urn:assay:oauth:token-type:x509-svid",
} as const

/** `client_assertion_type`. @see SCA-01 JB-01 */
export const ASSERTION_TYPES = {
  jwtSpiffe: "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
  jwtBearer: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
} as const

/** Ways to authenticate at `/token`, `/introspect` and `/revoke`, as metadata names them. @see SCA-07 DISC-09 */
export const CLIENT_AUTH_METHODS = ["spiffe_jwt", "spiffe_x509", "private_key_jwt"] as const
