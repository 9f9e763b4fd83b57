import { base64Url, randomSecret, sha256 } from "#protocol/bytes.ts";
import type { Env } from "../../env.ts";
import { note } from "../../audit/note.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Person } from "../accounts/people.ts";
import type { DevicePoll, DeviceRequest } from "../accounts/devices.ts";
import { oauthApi } from "./authorization-server.ts";
import { completeGrant } from "./completed-grant.ts";
import type { GrantProps } from "./grant-token.ts";
import { machineAt } from "./machine-at.ts";
import { oauthError } from "./oauth-error.ts";
import { redeem, responseOf } from "./redeem.ts";
import { apexAudience, spelled } from "./resource.ts";

const MESSAGES: Record<DevicePoll, string> = {
  authorization_pending: "Nobody has approved the code yet.",
  slow_down: "Polling too fast. Add five seconds to the interval.",
  access_denied: "The request was denied.",
  expired_token: "The code is unknown, already used or expired. Request a new one.",
};

/** Answers a device's token request (RFC 8628 section 3.4). Only public clients can get here: a device cannot keep a client secret. */
export async function deviceToken(body: URLSearchParams, env: Env): Promise<Response> {
  const deviceCode = body.get("device_code");
  const clientId = body.get("client_id");
  if (deviceCode === null || clientId === null)
    return oauthError("invalid_request", "device_code and client_id are required.");
  const polled: { error: DevicePoll } | { person: string; request: DeviceRequest } = await accountsOf(env).pollDevice(
    deviceCode,
    clientId,
  );
  if ("error" in polled) return oauthError(polled.error, MESSAGES[polled.error]);
  try {
    const person: Person | null = await accountsOf(env).person(polled.person);
    if (person === null) return oauthError("access_denied", "The user who approved the code has been removed.");
    return await grant(person.id, deviceCode, polled.request, env);
  } catch (reason) {
    // An object was restarted, for example. The device is told to try again, and must not find its code used up.
    await accountsOf(env).giveBackDevice(deviceCode);
    throw reason;
  }
}

/**
 * Issues the tokens of an approved request. The library has no device grant, so this creates an authorization code as the consent
 * page does and redeems it immediately, with a PKCE verifier that never leaves this function.
 */
async function grant(user: string, deviceCode: string, request: DeviceRequest, env: Env): Promise<Response> {
  const { clientId, clientName, scope, audience, approvedMs = 0 } = request;
  const api = oauthApi(env, audience);
  const client = await api.lookupClient(clientId);
  const [redirectUri] = client?.redirectUris ?? [];
  if (redirectUri === undefined) return oauthError("invalid_client", "The client is not registered any more.", 401);
  await accountsOf(env).keepClient(clientId);
  const { identity = "" } = (await machineAt(audience, user, env)) ?? {};
  // A machine's address goes with its name, which another computer may have later. One that nobody knows is no limit.
  const limit = audience === apexAudience(env) ? {} : { machines: identity === "" ? [] : [identity] };
  const verifier = randomSecret();
  const allowed = {
    request: {
      responseType: "code",
      clientId,
      redirectUri,
      scope,
      state: "",
      codeChallenge: base64Url(await sha256(verifier)),
      codeChallengeMethod: "S256",
      resource: audience,
      issuer: env.ORIGIN,
    },
    userId: user,
    metadata: { client: clientName, home: "paired with a code", ...limit },
    scope,
    props: { client: clientName, approvedMs, ...limit } satisfies GrantProps,
  };
  const code = (await completeGrant(api, allowed, env)).searchParams.get("code") ?? "";
  const [, id = ""] = code.split(":");
  // An app's document was fetched meanwhile, which the app can hold up for seconds. The browser that approved it may have been signed out since.
  if (!(await accountsOf(env).isRedeemingDevice(deviceCode))) {
    await env.USER.getByName(user).endGrant(id);
    return oauthError("expired_token", MESSAGES.expired_token);
  }
  const body = new URLSearchParams({
    grant_type: "authorization_code",
    code,
    client_id: clientId,
    redirect_uri: redirectUri,
    code_verifier: verifier,
  });
  const answered = await redeem({ grant: id, audience, authorization: null, body: body.toString() }, user, env);
  if (answered.status === 200) note(env, user, { kind: "grant", client: clientName, subject: audience });
  return responseOf(answered, spelled(audience, env));
}
