/**
 * Headers between the front and the gate. The front takes the place of Cloudflare's edge and treats headers like it: headers
 * about the client are set by the front, and those that the client sent under the same names are dropped.
 */

/** Hop-by-hop (RFC 9110 section 7.6.1); the request's own `Connection` may name more. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
]); // prettier-ignore

/** Headers that only the edge may set. A client could otherwise forge its address, host or scheme. */
const EDGE_ONLY: ReadonlySet<string> = new Set([
  "forwarded", "via", "x-real-ip", "true-client-ip", "cdn-loop", "x-client-ip", "x-cluster-client-ip", "x-forwarded-for",
  "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server", "x-forwarded-prefix",
]); // prettier-ignore

/** Headers that the front writes itself. */
const OWN: ReadonlySet<string> = new Set(["host", "content-length"]);

const EDGE_PREFIXES = ["cf-", "x-operator-", "mf-"];

/** The client's address, under the name that Cloudflare uses. */
const CLIENT_HEADER = "cf-connecting-ip";
/** workerd takes the scheme of a request's URL from it (`forwardedProtoHeader`). */
export const SCHEME_HEADER = "x-forwarded-proto";

/** What the front knows about a request. `client` is the client's address, `null` if it is unknown. */
export type Edge = { readonly host: string; readonly scheme: "http" | "https"; readonly client: string | null };

/**
 * The headers to send to the gate, as a flat list of names and values like Node's `rawHeaders`. Without `Content-Length`: how the body
 * is framed is for the sender to say (framing.ts).
 */
export function requestHeaders(raw: readonly string[], { host, scheme, client }: Edge): string[] {
  const passed = endToEnd(raw, (name) => OWN.has(name) || name.startsWith(":") || isEdgeOnly(name));
  joinCookies(passed);
  passed.push("host", host, SCHEME_HEADER, scheme);
  if (client !== null) passed.push(CLIENT_HEADER, client);
  return passed;
}

/**
 * Browsers split their cookies over several fields in HTTP/2. In HTTP/1.1 they must be one field again (RFC 9113 section 8.2.3): workerd would
 * join them with commas, and read everything behind the first name as one value.
 */
function joinCookies(headers: string[]): void {
  let first: number | null = null;
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() !== "cookie") continue;
    if (first === null) first = at;
    else {
      headers[first + 1] += `; ${headers[at + 1] ?? ""}`;
      headers.splice(at, 2);
      at -= 2;
    }
  }
}

/** The headers to send to the client, by name. A header that occurs several times (`set-cookie`) stays separate. */
export function responseHeaders(raw: readonly string[]): Record<string, string[]> {
  const passed = endToEnd(raw, () => false);
  const headers: Record<string, string[]> = Object.create(null);
  for (let at = 0; at < passed.length; at += 2)
    (headers[passed[at]?.toLowerCase() ?? ""] ??= []).push(passed[at + 1] ?? "");
  return headers;
}

function isEdgeOnly(name: string): boolean {
  return EDGE_ONLY.has(name) || EDGE_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** The headers that are neither hop-by-hop nor dropped by the caller. */
function endToEnd(raw: readonly string[], isDropped: (name: string) => boolean): string[] {
  const named = new Set<string>();
  for (let at = 0; at < raw.length; at += 2)
    if (raw[at]?.toLowerCase() === "connection")
      for (const name of raw[at + 1]?.split(",") ?? []) named.add(name.trim().toLowerCase());
  const passed: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]?.toLowerCase() ?? "";
    if (HOP_BY_HOP.has(name) || named.has(name) || isDropped(name)) continue;
    passed.push(raw[at] ?? "", raw[at + 1] ?? "");
  }
  return passed;
}
