import { isLoopbackHost } from "#protocol/loopback-host.ts";

export type LoopbackBindings = {
  /**
   * Local start only: SHA-256 (hex) of the token that the owner's own programs on this computer read from a file
   * (scripts/local). The bearer of that token is the owner. A request from 127.0.0.1 alone proves nothing, because reverse
   * proxies, other users of the computer and web pages send those as well.
   */
  readonly OWNER_TOKEN_HASH?: string;
  /** Local start only: the private key (Ed25519, JWK) with which Operator proves to programs of this computer which one it is. */
  readonly LOCAL_KEY?: string;
  /** For tests only: callers from this computer are this user, without a token. No start of Operator sets it. */
  readonly LOOPBACK_OWNER?: string;
};

/** Headers that proxies and tunnels add. A request that came through one is not from this computer, although its socket is. */
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
 * Whether a request to a local start comes from this computer. The socket listens on loopback only, so two cases remain to be
 * refused: a tunnel, and a web page whose name was rebound to 127.0.0.1 (MCP, Streamable HTTP, "Security Warning").
 */
export function isLoopbackCaller(request: Request): boolean {
  if (FORWARDING.some((name) => request.headers.has(name))) return false;
  if (!isLoopbackHost(new URL(request.url).hostname)) return false;
  return !hasForeignOrigin(request);
}

/**
 * Whether the request was sent by a page that is not served from this computer. `null`, the origin of a sandboxed frame,
 * counts as foreign.
 */
export function hasForeignOrigin(request: Request): boolean {
  const origin = request.headers.get("origin");
  return origin !== null && !(URL.canParse(origin) && isLoopbackHost(new URL(origin).hostname));
}
