/**
 * Headers between the front and the gate. The front stands where Cloudflare's edge stands in a deployment and does the same with
 * headers: those about the client are its own word, whatever the client sent.
 */

/** Hop-by-hop (RFC 9110 section 7.6.1); the request's own `Connection` may name more. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
]); // prettier-ignore

/** What a client may not say about itself: only the edge may. */
const EDGE_ONLY: ReadonlySet<string> = new Set([
  "forwarded", "via", "x-real-ip", "true-client-ip", "cdn-loop", "x-client-ip", "x-cluster-client-ip", "x-forwarded-for",
  "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server", "x-forwarded-prefix",
]); // prettier-ignore

const EDGE_PREFIXES = ["cf-", "x-operator-", "mf-"];

/** The address under which the gate knows a client, as Cloudflare names it. */
const CLIENT_HEADER = "cf-connecting-ip";
/** Read by workerd itself (`forwardedProtoHeader`), so that a request's URL has the client's scheme. */
export const SCHEME_HEADER = "x-forwarded-proto";

/** `client`: `null` when it is not known. */
export type Edge = { readonly host: string; readonly scheme: "http" | "https"; readonly client: string | null };

/** A client's headers as the gate is to see them: flat list of names and values, as Node's `rawHeaders`. */
export function requestHeaders(raw: readonly string[], { host, scheme, client }: Edge): string[] {
  const passed = endToEnd(raw, (name) => name === "host" || name.startsWith(":") || isEdgeOnly(name));
  passed.push("host", host, SCHEME_HEADER, scheme);
  if (client !== null) passed.push(CLIENT_HEADER, client);
  return passed;
}

/** The gate's headers as the client is to see them, by name; a header that came several times (`set-cookie`) stays several. */
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
