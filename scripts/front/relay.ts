import { Agent, type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http";
import { constants } from "node:http2";
import { pipeline } from "node:stream";
import { isEventStream } from "#protocol/header.ts";
import type { BodyWatch, Cut } from "./body-watch.ts";
import { isHttp2 } from "./calm.ts";
import { type Edge, requestHeaders, responseHeaders } from "./edge-headers.ts";
import { framingHeaders, framingOf } from "./framing.ts";
import { LINGER_MS, MAX_HEAD_BYTES, UPSTREAM_IDLE_MS } from "./limits.ts";
import { StreamKeepAlive } from "./stream-keep-alive.ts";

/** The gate's Unix socket. Its folder keeps other users out, and over it workerd notices a disconnect immediately. */
export type Upstream = { readonly socketPath: string };

/** One agent for all requests. It reuses connections to the gate, each for one exchange at a time. */
const agent = new Agent({ keepAlive: true, maxSockets: Infinity, timeout: UPSTREAM_IDLE_MS });

/**
 * Forwards one request to the gate and streams the answer back. If the client disconnects, the connection to the gate is closed,
 * which the gate sees as a cancelled request. If the gate's answer breaks off, the client's connection is reset, so that the
 * client cannot take a truncated answer for a complete one.
 *
 * @param left called when the client has left before the gate's answer was complete
 */
export function relay(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  upstream: Upstream,
  edge: Edge,
  bodies: BodyWatch,
  left: () => void,
): void {
  const framing = framingOf(incoming);
  const toGate = request({
    socketPath: upstream.socketPath,
    method: incoming.method,
    path: incoming.url,
    headers: [...requestHeaders(incoming.rawHeaders, edge), ...framingHeaders(framing)],
    setHost: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    agent,
  });
  toGate.on("response", (answer) => respond(answer, outgoing));
  toGate.on("error", () => unavailable(outgoing));
  outgoing.on("close", () => {
    if (isAnswered(outgoing)) return;
    // If the gate broke off, its client is not to blame.
    if (!toGate.destroyed) left();
    toGate.destroy();
  });
  // Without framing not one byte may follow the head.
  if (framing.kind === "none") toGate.end();
  else {
    sendBody(incoming, outgoing, toGate);
    bodies.watch(incoming, toGate, edge.client, (why) => {
      cutOff(outgoing, why);
      toGate.destroy();
    });
  }
}

/** Whether an answer has gone out as a whole. Of an HTTP/2 stream that its client has reset Node says that it is finished, but not that it has ended. */
function isAnswered({ writableEnded, writableFinished }: ServerResponse): boolean {
  return writableEnded && writableFinished;
}

/** Ends a request whose body does not arrive. If its answer has begun, the client sees it break off. */
function cutOff(outgoing: ServerResponse, why: Cut): void {
  if (outgoing.headersSent) return void outgoing.destroy();
  const [status, message] = cutMessageOf(why);
  outgoing.writeHead(status, { "content-type": "application/json", "retry-after": "5" });
  outgoing.end(JSON.stringify({ error: { code: "invalid_request", message, retryable: true } }));
}

function cutMessageOf(why: Cut): [status: number, message: string] {
  switch (why) {
    case "too_slow":
      return [408, "The request's body took too long to arrive. Send it again, over a faster connection."];
    case "too_many":
      return [429, "Too many slow uploads come from your address at once. Try again when others are complete."];
  }
}

/** Says that the gate did not answer, or breaks off an answer that has begun. */
export function unavailable(outgoing: ServerResponse): void {
  if (outgoing.writableEnded) return; // it is answered in full
  if (outgoing.headersSent) return void outgoing.destroy();
  outgoing.writeHead(502, { "content-type": "application/json" });
  outgoing.end(UNAVAILABLE);
}

const UNAVAILABLE = JSON.stringify({
  error: { code: "unavailable", message: "Operator is restarting. Try again in a moment.", retryable: true },
});

/** If the client's body breaks off, the connection to the gate is closed. Ending the body instead would make it look complete. */
function sendBody(incoming: IncomingMessage, outgoing: ServerResponse, toGate: ClientRequest): void {
  incoming.on("aborted", () => toGate.destroy());
  incoming.on("error", () => toGate.destroy());
  toGate.on("close", () => discardRest(incoming, outgoing));
  incoming.pipe(toGate);
}

/**
 * Discards the rest of a body that the gate does not read any more: it has answered, or is not running. The client has `LINGER_MS` to
 * end the body. If nobody read it, Node would not notice that the client has closed the connection, which would count as open indefinitely.
 */
function discardRest(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (incoming.complete || incoming.destroyed) return;
  incoming.resume();
  const cut = setTimeout(() => {
    if (isHttp2(outgoing)) outgoing.stream.close(constants.NGHTTP2_NO_ERROR);
    else incoming.destroy();
  }, LINGER_MS);
  incoming.on("close", () => clearTimeout(cut));
}

/** Streams the gate's answer to the client. */
export function respond(answer: IncomingMessage, outgoing: ServerResponse): void {
  const headers = responseHeaders(answer.rawHeaders);
  outgoing.writeHead(answer.statusCode ?? 502, headers);
  // Node would hold the head back until there is a body, which may be minutes away: a stream that listens, a slow tool.
  outgoing.flushHeaders();
  const isStream = isEventStream(answer.headers["content-type"]);
  // pipeline() destroys the client's side when the gate's side breaks off. pipe() would end the chunked answer as if complete.
  const ended = (): void => undefined;
  if (isStream) pipeline(answer, new StreamKeepAlive(), outgoing, ended);
  else pipeline(answer, outgoing, ended);
}
