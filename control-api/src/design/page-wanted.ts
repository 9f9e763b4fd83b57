/**
 * Whether a request is a browser's that wants to show a page. Browsers name `text/html` when they load one; programs ask for JSON, for
 * anything, or for nothing in particular, and get what they always got.
 */
export function wantsPage({ method, headers }: Request): boolean {
  if (method !== "GET" && method !== "HEAD" && method !== "POST") return false;
  return /(?:^|[\s,])text\/html(?:[\s;,]|$)/i.test(headers.get("accept") ?? "");
}
