import { OperatorHeader, OPERATOR_PREFIX } from "#protocol/header.ts";
import { slugOf } from "#protocol/slug.ts";
import { tagOf } from "./caller.ts";
import type { Env } from "./env.ts";

/** Asks one of a user's machine scripts. `path` may have a query. The script checks that the user is its owner. */
export async function askMachine(
  env: Env,
  user: string,
  name: string,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  const request = new Request(`http://machine${path}`, init);
  return enter(request, env, user, slugOf(name, await tagOf(user)));
}

/** Hands a client's own request to a machine script, body and all, on behalf of `user`. */
export function passToMachine(
  request: Request,
  env: Env,
  user: string | null,
  slug: string,
  path: string,
): Promise<Response> {
  const url = new URL(request.url);
  url.pathname = path;
  return enter(new Request(url, request), env, user, slug);
}

function enter(request: Request, env: Env, user: string | null, slug: string): Promise<Response> {
  const { headers } = request;
  for (const name of Array.from(headers.keys())) if (name.startsWith(OPERATOR_PREFIX)) headers.delete(name);
  headers.set(OperatorHeader.SECRET, env.DISPATCH_SECRET);
  headers.set(OperatorHeader.MACHINE, slug);
  if (user !== null) headers.set(OperatorHeader.CALLER, user);
  return env.DISPATCHER.fetch(request);
}
