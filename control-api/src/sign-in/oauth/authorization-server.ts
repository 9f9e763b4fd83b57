import { OAuthAuthorizationServer, type OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Env } from "../../env.ts";
import { SCOPES } from "../../http/scope.ts";
import { apexAudience, type Audience } from "./resource.ts";
import { Store } from "./store/store.ts";

export const OAuthPath = {
  AUTHORIZE: "/oauth/authorize",
  /** Tokens, and their revocation (RFC 7009). */
  TOKEN: "/oauth/token",
  REGISTER: "/oauth/register",
  DEVICE: "/oauth/device_authorization",
} as const;

/** Lifetime of an access token. A client cannot extend it, so a stolen token works for at most an hour. Seconds. */
const ACCESS_TOKEN_S = 60 * 60;

/**
 * A grant ends when it was not used for this long; each refresh restarts the time. A client in use stays signed in indefinitely,
 * one that was idle during a long leave still works, and a forgotten one loses access eventually. Seconds.
 */
export const GRANT_IDLE_S = 180 * 24 * 60 * 60;

/** A client registration expires when it is not used. Longer than `GRANT_IDLE_S`, so that it outlives its last grant. Seconds. */
const CLIENT_IDLE_S = 200 * 24 * 60 * 60;

/** The environment that the library expects. It calls only those KV methods that `Store` implements. */
type LibraryEnv = Env & { readonly OAUTH_KV: KVNamespace };

/** The library's API for grants, clients and tokens. `audience` is accepted in addition to the apex's. */
export function oauthApi(env: Env, audience: Audience = apexAudience(env)): OAuthHelpers {
  return authorizationServer(env, audience).getOAuthApi(libraryEnv(env));
}

/** The library's response to a request at one of the OAuth endpoints. */
export function oauthAnswer(
  request: Request,
  env: Env,
  ctx: ExecutionContext,
  audience: Audience = apexAudience(env),
): Promise<Response> {
  return authorizationServer(env, audience).fetch(request, libraryEnv(env), ctx);
}

function libraryEnv(env: Env): LibraryEnv {
  return { ...env, OAUTH_KV: new Store(env) as unknown as KVNamespace };
}

/**
 * The built-in authorization server. The library needs a list of the audiences that it may issue tokens for. Machines come and go,
 * so no fixed list would do: each request gets a server that knows the apex and the one audience that the request names.
 */
function authorizationServer(env: Env, audience: Audience): OAuthAuthorizationServer<LibraryEnv> {
  const apex = apexAudience(env);
  return new OAuthAuthorizationServer<LibraryEnv>({
    issuer: env.ORIGIN,
    authorizeEndpoint: OAuthPath.AUTHORIZE,
    tokenEndpoint: OAuthPath.TOKEN,
    clientRegistrationEndpoint: OAuthPath.REGISTER,
    resources: audience === apex ? [apex] : [apex, audience],
    defaultResource: apex,
    scopesSupported: [...SCOPES],
    accessTokenTTL: ACCESS_TOKEN_S,
    refreshTokenTTL: GRANT_IDLE_S,
    refreshTokenIdleTTL: GRANT_IDLE_S,
    clientRegistrationTTL: CLIENT_IDLE_S,
    clientIdMetadataDocumentEnabled: true,
    // One known app needs its own URI scheme. `redirectRefusal` refuses all others, at registration (registration.ts) and at every request.
    allowPrivateUseRedirectUris: true,
    onError: ({ status, code, internal: { category, reason } }) =>
      console.warn("an OAuth request was refused", { status, code, category, reason }),
  });
}
