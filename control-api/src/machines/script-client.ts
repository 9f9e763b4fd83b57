import { utf8 } from "#protocol/bytes.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { slugOf } from "#protocol/slug.ts";
import { tagOf } from "../http/caller.ts";

export type DispatchBindings = {
  /** The dispatch Worker. */
  readonly DISPATCHER: Fetcher;
  /** Shown to the dispatch Worker. */
  readonly DISPATCH_SECRET: string;
};

/** Asks one of a user's machine scripts. `path` may have a query. The script checks that the user is its owner. */
export async function askMachine(
  env: DispatchBindings,
  user: string,
  name: string,
  path: string,
  init: RequestInit<RequestInitCfProperties> = {},
): Promise<Response> {
  const request = new Request(`http://machine${path}`, { ...init, redirect: "manual" });
  return enter(request, env, user, slugOf(name, await tagOf(user)));
}

/** The same with a JSON body. Its length is told, so that nobody on the way has to take it for a stream. */
export function postToMachine(
  env: DispatchBindings,
  user: string,
  name: string,
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  const bytes = utf8(JSON.stringify(body));
  const headers = { "content-type": "application/json", "content-length": String(bytes.length) };
  return askMachine(env, user, name, path, {
    method: "POST",
    headers,
    body: bytes,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Hands a client's own request to a machine script on behalf of `user`. `path` has the query; `body` is the body if it was read. */
export function passToMachine(
  request: Request,
  env: DispatchBindings,
  user: string | null,
  slug: string,
  path: string,
  body: Uint8Array | null = null,
): Promise<Response> {
  const { method, headers, signal } = request;
  // As the client's own request is: a redirect is the client's to follow.
  const init = body === null ? request : { method, headers, body, signal, redirect: "manual" as const };
  return enter(new Request(`http://machine${path}`, init), env, user, slug);
}

/** What a client set of these is overwritten or dropped; any other header of ours the dispatch Worker drops. */
function enter(request: Request, env: DispatchBindings, user: string | null, slug: string): Promise<Response> {
  const { headers } = request;
  headers.set(OperatorHeader.SECRET, env.DISPATCH_SECRET);
  headers.set(OperatorHeader.MACHINE, slug);
  if (user === null) headers.delete(OperatorHeader.CALLER);
  else headers.set(OperatorHeader.CALLER, user);
  return env.DISPATCHER.fetch(request);
}
