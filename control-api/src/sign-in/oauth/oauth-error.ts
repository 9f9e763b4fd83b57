/** Tokens and what is said about them are kept by nobody on the way (RFC 6749 section 5.1). */
export const NO_STORE = { "cache-control": "no-store", pragma: "no-cache" };

/** An error as OAuth clients read it (RFC 6749 section 5.2). */
export function oauthError(
  error: string,
  description: string,
  status = 400,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ error, error_description: description }, { status, headers: { ...NO_STORE, ...headers } });
}

/** The store of grants could not be reached. In seconds, because clients read Retry-After in seconds. */
export function unavailable(): Response {
  return oauthError("temporarily_unavailable", "Try again in a few seconds.", 503, { "retry-after": "5" });
}

/** A rate limit. */
export function slowDown(afterMs: number): Response {
  return oauthError("temporarily_unavailable", "Too many requests from this address.", 429, {
    "retry-after": String(Math.ceil(afterMs / 1000)),
  });
}
