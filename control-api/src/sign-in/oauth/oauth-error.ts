/** Headers that forbid caches to store token responses (RFC 6749 section 5.1). */
export const NO_STORE = { "cache-control": "no-store", pragma: "no-cache" };

/** An OAuth error response (RFC 6749 section 5.2). */
export function oauthError(
  error: string,
  description: string,
  status = 400,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ error, error_description: description }, { status, headers: { ...NO_STORE, ...headers } });
}

/** The response when something that a token depends on cannot be reached. `Retry-After` is in seconds. */
export function unavailable(): Response {
  return oauthError("temporarily_unavailable", "Try again in a few seconds.", 503, { "retry-after": "5" });
}

/** The response when a rate limit is reached. */
export function slowDown(afterMs: number): Response {
  return oauthError("temporarily_unavailable", "Too many requests from this address.", 429, {
    "retry-after": String(Math.ceil(afterMs / 1000)),
  });
}
