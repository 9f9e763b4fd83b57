import { waitUntil } from "cloudflare:workers";
import type { Env } from "../../env.ts";
import { oauthAnswer, OAuthPath } from "./authorization-server.ts";
import type { Redemption, RedemptionAnswer } from "./redemption.ts";

/** Passes a token request to the library. Only for requests without a grant, and within `Redemptions`; see there for the reason. */
export async function askLibrary({ audience, authorization, body }: Redemption, env: Env): Promise<RedemptionAnswer> {
  const headers = new Headers({ "content-type": "application/x-www-form-urlencoded" });
  if (authorization !== null) headers.set("authorization", authorization);
  const request = new Request(`${env.ORIGIN}${OAuthPath.TOKEN}`, { method: "POST", headers, body });
  const context = { waitUntil } as ExecutionContext; // the library uses nothing else of it
  const response = await oauthAnswer(request, env, context, audience);
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

/** Redeems a code or refresh token in its user's own Durable Object, which does so one at a time (redemptions.ts). */
export async function redeem(asked: Redemption, user: string, env: Env): Promise<RedemptionAnswer> {
  const answered: RedemptionAnswer = await env.USER.getByName(user).redeem(asked);
  return answered;
}

/** The library's response, with `resource` as the client wrote it instead of its canonical form. */
export function responseOf({ status, headers, body }: RedemptionAnswer, resource: string): Response {
  const own = new Headers(headers);
  if (status !== 200 || body === "") return new Response(body, { status, headers: own });
  own.delete("content-length");
  return new Response(JSON.stringify({ ...JSON.parse(body), resource }), { status, headers: own });
}
