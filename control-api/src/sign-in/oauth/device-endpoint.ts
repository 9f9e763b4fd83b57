import { allowOrigin, preflight } from "../../http/cross-origin.ts";
import type { Env } from "../../env.ts";
import { accountsOf } from "../accounts/directory.ts";
import { DEVICE_MS, POLL_STEP_MS } from "../accounts/devices.ts";
import type { Limit } from "../accounts/limits.ts";
import { addressOf } from "../address.ts";
import { shownName } from "../client-name.ts";
import { requestedScopes } from "../../http/scope.ts";
import { clientOf } from "./client.ts";
import { NO_STORE, oauthError, slowDown, unavailable } from "./oauth-error.ts";
import { parametersIn } from "./parameters.ts";
import { apexAudience, audienceNamed } from "./resource.ts";

/** Code requests from one address. Each code lives ten minutes; someone who sets up a room of machines needs several at once. */
const HERE: Limit = { times: 30, windowMs: 10 * 60_000 };

/** `POST /oauth/device_authorization` (RFC 8628 section 3.1): a code for a computer without a browser. */
export async function deviceEndpoint(request: Request, env: Env): Promise<Response> {
  if (request.method === "OPTIONS") return preflight(request);
  return allowOrigin(request, await answer(request, env));
}

async function answer(request: Request, env: Env): Promise<Response> {
  if (request.method !== "POST") return oauthError("invalid_request", "Use POST.", 405, { allow: "POST, OPTIONS" });
  const accounts = accountsOf(env);
  const here = addressOf(request, env);
  const waitMs = await accounts.takeFrom("device", here, HERE);
  if (waitMs > 0) return slowDown(waitMs);
  const body = await parametersIn(request);
  if (body instanceof Response) return body;
  const clientId = body.get("client_id");
  if (clientId === null) return oauthError("invalid_request", "Send a form with client_id.");
  const client = await clientOf(clientId, here, env);
  if (client === "unavailable") return unavailable();
  if (client === null || client.tokenEndpointAuthMethod !== "none")
    return oauthError("invalid_client", "Register as a public client first (token_endpoint_auth_method: none).", 401);
  // Of several resources none is chosen: the token would be for another one than the client may think.
  const [resource, ...others] = body.getAll("resource");
  const named = resource === undefined ? apexAudience(env) : audienceNamed(resource, env);
  const audience = others.length === 0 ? named : null;
  if (audience === null) return oauthError("invalid_target", "This server has no such resource.");
  const { deviceCode, userCode } = await accounts.beginDevice({
    clientId,
    clientName: shownName(client.clientName ?? clientId),
    scope: requestedScopes(body.get("scope")?.split(" ") ?? []),
    audience,
    place: here,
  });
  return Response.json(
    {
      device_code: deviceCode,
      user_code: userCode,
      verification_uri: `${env.ORIGIN}/pair`,
      verification_uri_complete: `${env.ORIGIN}/pair?code=${userCode}`,
      expires_in: DEVICE_MS / 1000,
      interval: POLL_STEP_MS / 1000,
    },
    { headers: NO_STORE },
  );
}
