/**
 * Whether a browser's POST comes from one of our own pages. Browsers say so in `Sec-Fetch-Site`; ones from before 2023
 * only have `Origin`, which is `null` on a page without referrer, so that they are turned away.
 */
export function isFromOwnPage(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin";
  return request.headers.get("origin") === new URL(request.url).origin;
}
