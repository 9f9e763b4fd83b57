import { errorResponse } from "#protocol/error.ts";
import { hasTooManyFields, MAX_FORM_FIELDS } from "./form-fields.ts";
import { heldBodies, type NoBody, type Sender } from "./held-bodies.ts";

/**
 * Bytes of a request's body at Operator's own pages and API. The largest is a prompt of 100,000 characters from a page's form, of which
 * percent-encoding makes nine times as many. A parsed body takes some twenty times its size, so this bounds what a stranger's request takes.
 */
export const MAX_BODY_BYTES = 1024 * 1024;

/** A prompt from a page, with its files (pages/attachments.ts) and what the form puts around them. */
export const MAX_PROMPT_BYTES = 6 * 1024 * 1024;

/**
 * A request with its body, all of which has arrived and is within the limit, or the refusal of another one.
 *
 * Every body that Operator reads itself comes through here before anyone is authenticated: routes read theirs whole, and each of them would
 * otherwise need to think of how large it is, how long it takes, and how many others there are (held-bodies.ts). A request that states a length
 * beyond the limit is refused unread.
 */
export async function withBody(request: Request, sender: Sender): Promise<Request | Response> {
  const { body, method, headers } = request;
  if (body === null || method === "GET" || method === "HEAD") return request; // those are never read
  const stated = headers.get("content-length");
  if (stated !== null && !(Number(stated) <= MAX_BODY_BYTES)) return refuse({ missing: "too_large" });
  const bytes = await heldBodies.read(request, MAX_BODY_BYTES, sender);
  if ("missing" in bytes) return refuse(bytes);
  if (hasTooManyFields(bytes, headers.get("content-type")))
    return invalid(`The form has more than ${MAX_FORM_FIELDS} fields, the most that are read here.`);
  const whole = new Headers(headers);
  whole.set("content-length", String(bytes.length));
  const init = { headers: whole, body: bytes } satisfies RequestInit;
  return new Request(request, init);
}

/** The same for a route that knows its caller before it reads anything, and therefore may take more. What it takes is not read here. */
export function withStatedBody(request: Request, limit: number): Request | Response {
  return Number(request.headers.get("content-length")) <= limit ? request : refuse({ missing: "too_large" }, limit);
}

/** Milliseconds after which room is likely to be free again. */
const ROOM_AFTER_MS = 1_000;

function refuse({ missing }: NoBody, limit: number = MAX_BODY_BYTES): Response {
  switch (missing) {
    case "too_large":
      return invalid(`The request's body is larger than ${limit / 1024} KB, the most that is read here.`);
    case "too_slow":
      return invalid("The request's body took too long to arrive. Send it again, over a faster connection.");
    case "gone":
      return invalid("The request's body broke off.");
    case "no_room":
      return errorResponse({ code: "too_many_requests", of: "address", afterMs: ROOM_AFTER_MS });
  }
}

function invalid(reason: string): Response {
  return errorResponse({ code: "invalid_request", reason });
}
