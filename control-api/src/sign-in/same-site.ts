/**
 * Whether a browser's POST comes from one of our own pages; this stops cross-site request forgery. Browsers say so in
 * `Sec-Fetch-Site`, which page scripts cannot set. Browsers from before 2023 send only `Origin`, and our pages make that `null`
 * by their `no-referrer` policy, so those browsers are refused.
 */
export function isFromOwnPage(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin";
  return request.headers.get("origin") === new URL(request.url).origin;
}
