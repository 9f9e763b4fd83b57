export type LoopbackBindings = {
  /**
   * On one computer only: SHA-256 (hex) of the token that the owner's own programs there read from a file (scripts/local). Its
   * bearer is the owner. To arrive from 127.0.0.1 makes nobody the owner: proxies, other users and web pages do as well.
   */
  readonly OWNER_TOKEN_HASH?: string;
  /** For tests: the user that callers from the same computer are, without a token. No start sets it. */
  readonly LOOPBACK_OWNER?: string;
};

/** Headers that a proxy or tunnel adds: who comes through one isn't on this computer, wherever the socket ends. */
const FORWARDING = [
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-real-ip",
  "cf-connecting-ip",
  "cf-ray",
  "via",
];

/**
 * Whether a request to a local start comes from this computer. Its socket listens on loopback alone; what is left to
 * keep out is a tunnel to it, and a web page whose name was rebound to 127.0.0.1 (MCP, Streamable HTTP, "Security Warning").
 */
export function isLoopbackCaller(request: Request): boolean {
  if (FORWARDING.some((name) => request.headers.has(name))) return false;
  if (!isLoopbackHost(new URL(request.url).hostname)) return false;
  return !hasForeignOrigin(request);
}

/** Whether a page asks that does not come from this computer. `null` (a sandboxed frame's origin) is nobody's. */
export function hasForeignOrigin(request: Request): boolean {
  const origin = request.headers.get("origin");
  return origin !== null && !(URL.canParse(origin) && isLoopbackHost(new URL(origin).hostname));
}

export function isLoopbackHost(hostname: string): boolean {
  return (
    hostname === "127.0.0.1" || hostname === "[::1]" || hostname === "localhost" || hostname.endsWith(".localhost")
  );
}
