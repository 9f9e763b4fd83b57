import { utf8 } from "#protocol/bytes.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { slugOf } from "#protocol/slug.ts";
import { tagOf } from "../http/caller.ts";

export type DispatchBindings = {
  /** The dispatch Worker. */
  readonly DISPATCHER: Fetcher;
  /** The secret that authenticates the control API to the dispatch Worker. */
  readonly DISPATCH_SECRET: string;
};

/** Sends a request of Operator's own to a user's machine script. `path` may have a query. The script checks that it belongs to the user. */
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

/** The same with a JSON body. `Content-Length` is set, so that the body is not forwarded as a stream of unknown length. */
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

/**
 * Forwards a client's request to a machine script on behalf of `user`. `path` includes the query. `body` is the body if it was
 * read, or `null` to forward the request's stream. `signal` ends the call, as the client's leaving does.
 */
export function passToMachine(
  request: Request,
  env: DispatchBindings,
  user: string | null,
  slug: string,
  path: string,
  body: Uint8Array | null = null,
  signal: AbortSignal = request.signal,
): Promise<Response> {
  const { method, headers } = request;
  const url = `http://machine${path}`;
  // "manual" hands a redirect back instead of following it, as for a client's own request; response-filter.ts refuses it.
  if (body !== null)
    return enter(new Request(url, { method, headers, body, signal, redirect: "manual" }), env, user, slug);
  const streamed = new Request(url, request);
  return enter(signal === request.signal ? streamed : new Request(streamed, { signal }), env, user, slug);
}

/**
 * Sets Operator's internal headers. Values that a client sent for them are overwritten or deleted, so that it cannot pose as another
 * user. The dispatch Worker drops all other internal headers.
 */
function enter(request: Request, env: DispatchBindings, user: string | null, slug: string): Promise<Response> {
  const { headers } = request;
  headers.set(OperatorHeader.SECRET, env.DISPATCH_SECRET);
  headers.set(OperatorHeader.MACHINE, slug);
  if (user === null) headers.delete(OperatorHeader.CALLER);
  else headers.set(OperatorHeader.CALLER, user);
  if (request.method === "POST") headers.set(OperatorHeader.MARK_END, "1");
  else headers.delete(OperatorHeader.MARK_END);
  return env.DISPATCHER.fetch(request);
}
