/** As much of `oidc-provider`, which has no types, as the tests use. */
declare module "oidc-provider" {
  import type { RequestListener } from "node:http"

  class Provider {
    constructor(issuer: string, configuration: object)
    callback(): RequestListener
  }

  export { Provider }
}
