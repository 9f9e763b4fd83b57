import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";

/** Answers with server-sent events, and ends the request's lease (sign-in/lease.ts) with them. */
export function streamLeased(
  c: Context,
  lease: { end(): void },
  follow: (stream: SSEStreamingApi) => Promise<void>,
): Response {
  return streamSSE(c, (stream) => {
    stream.onAbort(() => lease.end()); // the client has left, which `follow` notices only when its wait is over
    return follow(stream).finally(() => lease.end());
  });
}
