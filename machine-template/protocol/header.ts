/**
 * Which HTTP headers cross the link. This is a list of the headers that never do. All others pass unchanged (`Mcp-*`,
 * `traceparent`, `Last-Event-ID`), so a header that a future revision of MCP adds needs no change here.
 */

/** Headers between gates, dispatch Worker and machine script. The first gate removes any that a client sent. */
export const OperatorHeader = {
  /** Slug of the machine script, from a trusted gate to the dispatch Worker. */
  MACHINE: "x-operator-machine",
  /** The shared secret, from a trusted gate to the dispatch Worker, which removes it. */
  SECRET: "x-operator-secret",
  /** Id of the user on whose behalf a trusted gate sends the request. */
  CALLER: "x-operator-caller",
  /** On a request: a trusted gate wants the end of an event stream marked (end-mark.ts). On the response: it will be. */
  MARK_END: "x-operator-mark-end",
} as const;

export const OPERATOR_PREFIX = "x-operator-";

/**
 * Hop-by-hop headers (RFC 9110 section 7.6.1), headers that each hop sets itself, and credentials between a client and its
 * gate.
 */
const NEVER_CROSS: ReadonlySet<string> = new Set([
  "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
  "host", "content-length", "accept-encoding", "content-encoding", "expect", "alt-svc",
  "authorization", "proxy-authorization", "proxy-authenticate", "www-authenticate", "cookie", "cookie2", "set-cookie", "set-cookie2",
  "forwarded", "via", "x-real-ip", "true-client-ip", "cdn-loop", "origin", "referer", "date",
]); // prettier-ignore

const NEVER_CROSS_PREFIXES = [OPERATOR_PREFIX, "x-forwarded-", "cf-", "access-control-", "sec-", "mf-"];

const EVENT_STREAM = /^[\t ]*text\/event-stream/i;

/**
 * Whether an answer of this content type is an event stream. Types are spelled in any case (RFC 9110 section 8.3.1), and all that an answer
 * passes through must read one alike: where only the script knew a stream, its mark (end-mark.ts) reached the client.
 */
export function isEventStream(type: string | null | undefined): boolean {
  return typeof type === "string" && EVENT_STREAM.test(type);
}

/** Name and value, in order. Names are lower case. */
export type HeaderList = [name: string, value: string][];

/** The headers that may cross to the other side of the link. Headers named in `Connection` are hop-by-hop too. */
export function crossing(headers: Headers): HeaderList {
  const named = headers.get("connection")?.toLowerCase().split(",") ?? [];
  const hopByHop = new Set(named.map((name) => name.trim()));
  const list: HeaderList = [];
  for (const [name, value] of headers) if (mayCross(name) && !hopByHop.has(name)) list.push([name, value]);
  return list;
}

/**
 * Whether a header of this name crosses the link. Names are the same in any case (RFC 9110 section 5.1), and a peer may use one in which an HTTP
 * library would not write them: a `Content-Length` of its own would make of one request two.
 */
export function mayCross(name: string): boolean {
  const lower = name.toLowerCase();
  return !NEVER_CROSS.has(lower) && !NEVER_CROSS_PREFIXES.some((prefix) => lower.startsWith(prefix));
}
