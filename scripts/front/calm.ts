import type { ServerResponse } from "node:http";
import { constants, Http2ServerResponse } from "node:http2";

/**
 * Refuses a request of an address that sends too many, and then its connection: a client that does not wait would otherwise have thousands of
 * refusals a second from us. Other requests of an HTTP/2 connection are answered first, and new ones on it are not read any more.
 *
 * @param waitMs after which the next request may pass
 */
export function calm(outgoing: ServerResponse, waitMs: number): void {
  const headers = { "content-type": "application/json", "retry-after": String(Math.ceil(waitMs / 1_000)) };
  const message = "Your address sends too many requests, or cancels too many. Wait as long as Retry-After says.";
  const body = JSON.stringify({ error: { code: "too_many_requests", message, retryable: true } });
  if (isHttp2(outgoing)) {
    outgoing.writeHead(429, headers).end(body);
    const { session } = outgoing.stream;
    if (session === undefined || session.closed) return;
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.close();
  } else outgoing.writeHead(429, { ...headers, connection: "close" }).end(body);
}

/** Node gives a request of HTTP/2 to a handler of HTTP/1.1, whose types do not know it. */
export function isHttp2(outgoing: object): outgoing is Http2ServerResponse {
  return outgoing instanceof Http2ServerResponse;
}
