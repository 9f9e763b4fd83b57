import { errorResponse } from "#protocol/error.ts";
import { bytesWithin } from "./bytes-within.ts";

/**
 * Bytes of a request's body at Operator's own pages and API. The largest is a prompt of 100,000 characters from a page's form, of which
 * percent-encoding makes nine times as many. A parsed body takes some twenty times its size, so this bounds what a stranger's request takes.
 */
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * A request whose body is no larger than `limit`, or the refusal of one that is larger. What states its length is not read here, because
 * the runtime lets no more of it in; of the rest (chunked) one byte more than the limit is read at most.
 *
 * Every body that Operator reads itself comes through here before anyone is authenticated: routes read theirs whole, and each of
 * them would otherwise need to think of it.
 */
export async function withBodyWithin(request: Request, limit: number = MAX_BODY_BYTES): Promise<Request | Response> {
  const { body, method, headers } = request;
  if (body === null || method === "GET" || method === "HEAD") return request; // those are never read
  const length = headers.get("content-length");
  if (length !== null) return Number(length) <= limit ? request : tooLarge(limit);
  const bytes = await bytesWithin(request, limit);
  if (bytes === null) return tooLarge(limit);
  const whole = new Headers(headers);
  whole.set("content-length", String(bytes.length));
  const init = { headers: whole, body: bytes } satisfies RequestInit;
  return new Request(request, init);
}

function tooLarge(limit: number): Response {
  const reason = `The request's body is larger than ${limit / 1024} KB, the most that is read here.`;
  return errorResponse({ code: "invalid_request", reason });
}
