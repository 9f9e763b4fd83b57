import { ERROR_HEADER, errorResponse } from "#protocol/error.ts";
import { setHarmless } from "../http/harmless.ts";

/**
 * Responses of machines are served from Operator's own origin, where people sign in. A hostile machine must not be able to send
 * anything that has power over that origin: a page, a script, a redirect, or a header that browsers or proxies obey. This file is
 * an allowlist; everything else is dropped or replaced with an error.
 */

/**
 * The two content types of MCP's Streamable HTTP transport. The pattern is anchored and allows no commas, because browsers treat
 * "a/b, text/html" as HTML.
 */
const CONTENT_TYPE = /^(?:application\/json|text\/event-stream)(?:\s*;\s*[\w-]+=(?:[\w.+-]+|"[\w.+ -]*"))*\s*;?\s*$/i;

/** A longer content type is none of these. The pattern takes time that grows with the square of the spaces in it, and a machine chooses those. */
const MAX_TYPE_CHARACTERS = 200;

/** A body as it arrives, or as it was read. */
type Answered = ReadableStream | Uint8Array | null;

/** Headers that MCP clients and people who debug them use. The last one is set by Operator; the link carries none from a machine. */
const NAMED: ReadonlySet<string> = new Set([
  "content-type", "content-length", "content-language", "allow", "retry-after", "traceparent", "tracestate", "x-accel-buffering",
  ERROR_HEADER,
]); // prettier-ignore

/** Prefixes of MCP's own headers, including future ones, and of rate limit headers. */
const PREFIXES = ["mcp-", "ratelimit", "x-"];

/**
 * `x-` headers are allowed, since servers use them for their own clients. RFC 6648 (2012) ended the convention, so new browser
 * features no longer use that prefix. These older ones still have an effect in browsers, proxies or developer tools.
 */
const POWERFUL =
  /^x-(?:accel-|sendfile|lighttpd-|litespeed-|frame-options|xss-|content-|webkit-|dns-prefetch-|permitted-|download-|ua-|sourcemap|source-|pingback|robots-|forwarded|original-|rewrite-|http-method|cache|middleware-|reproxy|operator-)/;

/** Caching directives that keep a response private to its client. With any other, a shared cache could serve it to another user. */
const CACHE_CONTROL =
  /^(?:no-cache|no-store|no-transform|private|must-revalidate)(?:\s*,\s*(?:no-cache|no-store|no-transform|private|must-revalidate))*$/i;

/**
 * The machine's response with only the allowed headers, or an error of Operator's if the response itself is not allowed.
 * @param body the response's body, if it was read
 */
export function filtered(response: Response, machine: string, body: Answered = response.body): Response {
  const { status, statusText } = response;
  const type = response.headers.get("content-type");
  const headers = passing(response.headers);
  if (status === SWITCHING) return refused(null, 502, headers, machine, "its MCP server answered with a WebSocket");
  if (status >= 300 && status < 400)
    return refused(body, 502, headers, machine, `its MCP server answered with a redirect (HTTP ${status})`);
  if (body === null || type === null || isAllowedType(type)) {
    // Without a content type a browser would guess one from the body, and could guess HTML.
    if (body !== null && type === null && status !== ACCEPTED) headers.set("content-type", "application/json");
    return new Response(body, { status, statusText, headers });
  }
  if (status === ACCEPTED) {
    stop(body);
    headers.delete("content-type");
    return new Response(null, { status, statusText, headers });
  }
  const shown = JSON.stringify(type.slice(0, MAX_SHOWN));
  // MCP clients act on error statuses (404 means that the session has ended), so those are kept.
  const seen = status >= 400 ? status : 502;
  return refused(body, seen, headers, machine, `its MCP server answered with content of type ${shown}`);
}

function isAllowedType(type: string): boolean {
  return type.length <= MAX_TYPE_CHARACTERS && CONTENT_TYPE.test(type);
}

/** 101, which only the link's own path answers. */
const SWITCHING = 101;

/** 202, the response to notifications. It has no body (MCP, Streamable HTTP, "Sending Messages"). */
const ACCEPTED = 202;

/** How many characters of a refused content type the error message repeats. */
const MAX_SHOWN = 100;

/** A length, as HTTP has it (RFC 9110 section 8.6). */
const LENGTH = /^\d{1,15}$/;

function passing(headers: Headers): Headers {
  const passed = new Headers(headers);
  for (const name of headers.keys()) if (!mayPass(name)) passed.delete(name);
  // The runtime sets it wherever there is a body, and sends what a hosted server says where there is none.
  if (!LENGTH.test(passed.get("content-length") ?? "")) passed.delete("content-length");
  const caching = headers.get("cache-control");
  if (caching !== null) passed.set("cache-control", CACHE_CONTROL.test(caching.trim()) ? caching : "no-store");
  setHarmless(passed);
  return passed;
}

/** Whether a response header of a machine reaches the client. `name` is in lower case. */
export function mayPass(name: string): boolean {
  return NAMED.has(name) || (PREFIXES.some((prefix) => name.startsWith(prefix)) && !POWERFUL.test(name));
}

function refused(body: Answered, status: number, headers: Headers, machine: string, what: string): Response {
  stop(body);
  const reason = `${what}, which Operator does not pass on. Only JSON and event streams reach clients.`;
  const error = errorResponse({ code: "machine_failed", machine, reason, mayHaveRun: true });
  headers.delete("content-length");
  for (const [name, value] of error.headers) headers.set(name, value);
  return new Response(error.body, { status, headers });
}

function stop(body: Answered): void {
  if (body instanceof ReadableStream) void body.cancel().catch(() => undefined); // cancelling fails if the link is already gone; the body is discarded in both cases
}
