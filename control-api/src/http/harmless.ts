import { errorResponse } from "#protocol/error.ts";

/**
 * What makes a response harmless if somebody opens it as a page: browsers neither guess another type (`nosniff`), nor run
 * anything in it or give it our origin (`sandbox`), nor show it in a frame or as part of another site, nor show it at all
 * (`attachment`). MCP clients read none of these headers.
 */
const HARMLESS: readonly (readonly [name: string, value: string])[] = [
  ["x-content-type-options", "nosniff"],
  ["content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'"],
  ["content-disposition", 'attachment; filename="answer"'],
  ["cross-origin-resource-policy", "same-origin"],
  ["referrer-policy", "no-referrer"],
];

/** Sets those headers on headers that are ours to change. */
export function setHarmless(headers: Headers): void {
  for (const [name, value] of HARMLESS) headers.set(name, value);
}

/** The response with those headers. A WebSocket's is left alone. */
export function harmless(response: Response): Response {
  if (response.status === 101) return response;
  const copy = new Response(response.body, response);
  setHarmless(copy.headers);
  return copy;
}

/**
 * Refuses a browser that opens an MCP endpoint as a page, a frame, a script or a worker (Fetch Metadata): an endpoint is for
 * programs, and what a machine says must never become part of a site. `null`: it is none of these.
 */
export function refuseNavigation({ headers }: Request): Response | null {
  const destination = headers.get("sec-fetch-dest");
  const isOpened = headers.get("sec-fetch-mode") === "navigate" || (destination !== null && destination !== "empty");
  if (!isOpened) return null;
  const reason = "This address is an MCP endpoint, not a page. Add it to an MCP client.";
  return harmless(errorResponse({ code: "forbidden", reason }));
}
