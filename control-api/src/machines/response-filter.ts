import { ERROR_HEADER, errorResponse } from "#protocol/error.ts";
import { setHarmless } from "../http/harmless.ts";

/**
 * What a machine answers is served from Operator's own origin, so a hostile machine must not be able to send anything with
 * power over that origin: a page, a script, a redirect, a header that browsers or proxies obey. This is the list of what
 * may pass; everything else is dropped or replaced with an error.
 */

/** The two types that MCP's Streamable HTTP transport has. Anchored, and without commas: browsers read "a/b, text/html" as HTML. */
const CONTENT_TYPE = /^(?:application\/json|text\/event-stream)(?:\s*;\s*[\w-]+=(?:[\w.+-]+|"[\w.+ -]*"))*\s*;?\s*$/i;

/** Headers that clients of MCP, and those who debug them, make use of. The last is ours: no machine's own crosses the link. */
const NAMED: ReadonlySet<string> = new Set([
  "content-type", "content-length", "content-language", "allow", "retry-after", "traceparent", "tracestate", "x-accel-buffering",
  ERROR_HEADER,
]); // prettier-ignore

/** MCP's own, present and future, and rate limits. */
const PREFIXES = ["mcp-", "ratelimit", "x-"];

/**
 * `x-` headers are a server's own words to its clients. Browsers have given none of them a meaning since RFC 6648 (2012);
 * these are the ones from before that browsers, proxies or developer tools still obey.
 */
const POWERFUL =
  /^x-(?:accel-|sendfile|lighttpd-|litespeed-|frame-options|xss-|content-|webkit-|dns-prefetch-|permitted-|download-|ua-|sourcemap|source-|pingback|robots-|forwarded|original-|rewrite-|http-method|cache|middleware-|reproxy|operator-)/;

/** Caching directives that keep an answer to those who asked for it. Any other would let a cache hand it to somebody else. */
const CACHE_CONTROL =
  /^(?:no-cache|no-store|no-transform|private|must-revalidate)(?:\s*,\s*(?:no-cache|no-store|no-transform|private|must-revalidate))*$/i;

/** The machine's answer as a client may see it: status, body and allowed headers as they are, or one of our errors in its place. */
export function filtered(response: Response, machine: string): Response {
  const { status, statusText, body } = response;
  const type = response.headers.get("content-type");
  const headers = passing(response.headers);
  if (status >= 300 && status < 400)
    return refused(response, 502, headers, machine, `its MCP server answered with a redirect (HTTP ${status})`);
  if (body === null || type === null || CONTENT_TYPE.test(type)) {
    // A body that does not say what it is could be taken for anything.
    if (body !== null && type === null && status !== ACCEPTED) headers.set("content-type", "application/json");
    return new Response(body, { status, statusText, headers });
  }
  if (status === ACCEPTED) {
    stop(body);
    headers.delete("content-type");
    return new Response(null, { status, statusText, headers });
  }
  const shown = JSON.stringify(type.slice(0, MAX_SHOWN));
  // A status from 400 on is what clients go by (404: the session is lost), so it stays.
  const seen = status >= 400 ? status : 502;
  return refused(response, seen, headers, machine, `its MCP server answered with content of type ${shown}`);
}

/** The answer to notifications, which has no body (MCP, Streamable HTTP, "Sending Messages"). */
const ACCEPTED = 202;

/** Characters of a content type that an error repeats. */
const MAX_SHOWN = 100;

function passing(headers: Headers): Headers {
  const passed = new Headers();
  for (const [name, value] of headers) if (mayPass(name)) passed.append(name, value);
  const caching = headers.get("cache-control");
  if (caching !== null) passed.set("cache-control", CACHE_CONTROL.test(caching.trim()) ? caching : "no-store");
  setHarmless(passed);
  return passed;
}

/** Whether a header (its name in lower case) of a machine's answer reaches the client. */
export function mayPass(name: string): boolean {
  return NAMED.has(name) || (PREFIXES.some((prefix) => name.startsWith(prefix)) && !POWERFUL.test(name));
}

function refused({ body }: Response, status: number, headers: Headers, machine: string, what: string): Response {
  stop(body);
  const reason = `${what}, which Operator does not pass on. Only JSON and event streams reach clients.`;
  const error = errorResponse({ code: "machine_failed", machine, reason, mayHaveRun: true });
  headers.delete("content-length");
  for (const [name, value] of error.headers) headers.set(name, value);
  return new Response(error.body, { status, headers });
}

function stop(body: ReadableStream | null): void {
  void body?.cancel().catch(() => undefined); // the link may be gone already; either way nobody reads on
}
