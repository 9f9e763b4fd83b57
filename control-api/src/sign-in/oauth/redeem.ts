import { waitUntil } from "cloudflare:workers";
import type { Env } from "../../env.ts";
import { oauthAnswer, OAuthPath } from "./authorization-server.ts";
import type { Redemption, RedemptionAnswer } from "./redemption.ts";

/** The library's answer to a request at the token endpoint. */
export async function askLibrary({ audience, authorization, body }: Redemption, env: Env): Promise<RedemptionAnswer> {
  const headers = new Headers({ "content-type": "application/x-www-form-urlencoded" });
  if (authorization !== null) headers.set("authorization", authorization);
  const request = new Request(`${env.ORIGIN}${OAuthPath.TOKEN}`, { method: "POST", headers, body });
  const context = { waitUntil } as ExecutionContext; // all that the library may use of one
  const response = await oauthAnswer(request, env, context, audience);
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

/** Every code and refresh token of a user is redeemed by that user's own object (redemptions.ts). */
export async function redeem(asked: Redemption, user: string, env: Env): Promise<RedemptionAnswer> {
  const answered: RedemptionAnswer = await env.USER.getByName(user).redeem(asked);
  return answered;
}

/** The library's answer; `resource` in it as clients spell it. */
export function responseOf({ status, headers, body }: RedemptionAnswer, resource: string): Response {
  const own = new Headers(headers);
  if (status !== 200 || body === "") return new Response(body, { status, headers: own });
  own.delete("content-length");
  return new Response(JSON.stringify({ ...JSON.parse(body), resource }), { status, headers: own });
}
