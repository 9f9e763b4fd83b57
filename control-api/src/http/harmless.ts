import { errorResponse } from "#protocol/error.ts";

/**
 * Headers that make a response harmless when somebody opens it as a page. A machine chooses the bytes of its answers, and they
 * come from Operator's own host, so an HTML page among them would run with Operator's origin. With these headers the browser
 * guesses no other type (`nosniff`), runs nothing and assigns an opaque origin (`sandbox`), refuses to show it in a frame or
 * inside another site, and downloads it instead of showing it (`attachment`). MCP clients ignore all of them.
 */
const HARMLESS: readonly (readonly [name: string, value: string])[] = [
  ["x-content-type-options", "nosniff"],
  ["content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'"],
  ["content-disposition", 'attachment; filename="answer"'],
  ["cross-origin-resource-policy", "same-origin"],
  ["referrer-policy", "no-referrer"],
];

/** Sets those headers on `headers`, which must be mutable. */
export function setHarmless(headers: Headers): void {
  for (const [name, value] of HARMLESS) headers.set(name, value);
}

/** The response with those headers. A WebSocket upgrade is returned unchanged. */
export function harmless(response: Response): Response {
  if (response.status === 101) return response;
  const copy = new Response(response.body, response);
  setHarmless(copy.headers);
  return copy;
}

/**
 * Refuses a browser that loads an MCP endpoint as a page, a frame, a script or a worker (Fetch Metadata): endpoints are for
 * programs, and a machine's answer must never become part of a site. `null` lets the request pass.
 */
export function refuseNavigation({ headers }: Request): Response | null {
  const destination = headers.get("sec-fetch-dest");
  const isOpened = headers.get("sec-fetch-mode") === "navigate" || (destination !== null && destination !== "empty");
  if (!isOpened) return null;
  const reason = "This address is an MCP endpoint, not a page. Add it to an MCP client.";
  return harmless(errorResponse({ code: "forbidden", reason }));
}
