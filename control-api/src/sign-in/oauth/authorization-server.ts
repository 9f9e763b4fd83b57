import { OAuthAuthorizationServer, type OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Env } from "../../env.ts";
import { SCOPES } from "../../http/scope.ts";
import { apexAudience, type Audience } from "./resource.ts";
import { Store } from "./store/store.ts";
import { redirectRefusal } from "./redirect-uri.ts";

export const OAuthPath = {
  AUTHORIZE: "/oauth/authorize",
  /** Tokens, and their revocation (RFC 7009). */
  TOKEN: "/oauth/token",
  REGISTER: "/oauth/register",
  DEVICE: "/oauth/device_authorization",
} as const;

/** An access token lives an hour: as long as a person who revoked a grant elsewhere would wait at the very worst. Seconds. */
const ACCESS_TOKEN_S = 60 * 60;

/**
 * A grant ends when it was not used for so long; each refresh begins the time anew. A connector in use stays signed in
 * for good, one that was idle during a long leave still works, and a forgotten one ends at some time. Seconds.
 */
const GRANT_IDLE_S = 180 * 24 * 60 * 60;

/** A client that registered itself and is not used is forgotten a little after the last grant it could have. Seconds. */
const CLIENT_IDLE_S = 200 * 24 * 60 * 60;

/** What the library wants in its environment: it takes any object with KV's methods, and uses no others than ours has. */
type LibraryEnv = Env & { readonly OAUTH_KV: KVNamespace };

/** The library's own way to grants, clients and tokens. `audience`: the one that the matter is about, besides the apex's. */
export function oauthApi(env: Env, audience: Audience = apexAudience(env)): OAuthHelpers {
  return authorizationServer(env, audience).getOAuthApi(libraryEnv(env));
}

/** The library's answer to a request at one of OAuth's endpoints. */
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
 * The built-in authorization server. The library wants the audiences it may issue tokens for listed beforehand; machines
 * come and go, so each request is served by one that knows the audience in question besides the apex's.
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
    // One app needs its own scheme (redirect-uri.ts); that no other gets through is checked at registration and at each request.
    allowPrivateUseRedirectUris: true,
    clientRegistrationCallback: ({ clientMetadata }) => {
      const uris = clientMetadata["redirect_uris"];
      const refusal = (Array.isArray(uris) ? uris : []).map((uri) => redirectRefusal(String(uri))).find(Boolean);
      return refusal === undefined || refusal === null
        ? undefined
        : { code: "invalid_redirect_uri", description: refusal };
    },
    onError: ({ status, code, internal: { category, reason } }) =>
      console.warn("an OAuth request was refused", { status, code, category, reason }),
  });
}
