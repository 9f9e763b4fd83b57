import { waitUntil } from "cloudflare:workers";
import type { Env } from "../../env.ts";
import { authorizationServer, OAuthPath } from "./authorization-server.ts";
import type { Audience } from "./resource.ts";

/** A request at the token endpoint, as it is handed to the one place that answers for its user. */
export type Exchange = { grant: string; audience: Audience; authorization: string | null; body: string };

export type ExchangeAnswer = { status: number; headers: Record<string, string>; body: string };

/** The library's answer to a request at the token endpoint. */
export async function askLibrary({ audience, authorization, body }: Exchange, env: Env): Promise<ExchangeAnswer> {
  const headers = new Headers({ "content-type": "application/x-www-form-urlencoded" });
  if (authorization !== null) headers.set("authorization", authorization);
  const request = new Request(`${env.ORIGIN}${OAuthPath.TOKEN}`, { method: "POST", headers, body });
  const context = { waitUntil } as ExecutionContext; // all that the library may use of one
  const response = await authorizationServer(env, audience).fetch(request, env, context);
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

/** Every exchange of a user's is answered by that user's own object (exchanges.ts). */
export async function exchange(asked: Exchange, user: string, env: Env): Promise<ExchangeAnswer> {
  const answered: ExchangeAnswer = await env.USER.getByName(user).exchange(asked);
  return answered;
}

/** The library's answer; `resource` in it as clients spell it. */
export function responseOf({ status, headers, body }: ExchangeAnswer, resource: string): Response {
  const own = new Headers(headers);
  if (status !== 200 || body === "") return new Response(body, { status, headers: own });
  own.delete("content-length");
  return new Response(JSON.stringify({ ...JSON.parse(body), resource }), { status, headers: own });
}
