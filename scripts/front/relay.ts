import { Agent, type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { type Edge, requestHeaders, responseHeaders } from "./edge-headers.ts";
import { UPSTREAM_IDLE_MS } from "./limits.ts";
import { StreamKeepAlive } from "./stream-keep-alive.ts";

/** Where the gate listens: a Unix socket, whose folder keeps other users out, and over which workerd notices a hang-up at once. */
export type Upstream = { readonly socketPath: string };

/** One agent for all: a connection to the gate is used by one exchange at a time and kept for the next. */
const agent = new Agent({ keepAlive: true, maxSockets: Infinity, timeout: UPSTREAM_IDLE_MS });

/**
 * Hands one request to the gate and its answer back, both as they come. When the client goes away the connection to the gate is
 * closed, which the gate sees as a cancelled request; when the gate breaks off in the middle, so does the client's answer.
 */
export function relay(incoming: IncomingMessage, outgoing: ServerResponse, upstream: Upstream, edge: Edge): void {
  const toGate = request({
    socketPath: upstream.socketPath,
    method: incoming.method,
    path: incoming.url,
    headers: requestHeaders(incoming.rawHeaders, edge),
    setHost: false,
    agent,
  });
  toGate.on("response", (answer) => respond(answer, outgoing));
  toGate.on("error", () => {
    if (outgoing.headersSent) return void outgoing.destroy();
    outgoing.writeHead(502, { "content-type": "application/json" });
    outgoing.end(UNAVAILABLE);
  });
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) toGate.destroy();
  });
  sendBody(incoming, toGate);
}

const UNAVAILABLE = JSON.stringify({
  error: { code: "unavailable", message: "Operator is starting again. Try again in a moment.", retryable: true },
});

/** A body that breaks off must not look complete: the connection to the gate is closed instead of the body. */
function sendBody(incoming: IncomingMessage, toGate: ClientRequest): void {
  incoming.on("aborted", () => toGate.destroy());
  incoming.on("error", () => toGate.destroy());
  incoming.pipe(toGate);
}

function respond(answer: IncomingMessage, outgoing: ServerResponse): void {
  const headers = responseHeaders(answer.rawHeaders);
  outgoing.writeHead(answer.statusCode ?? 502, headers);
  const isStream = answer.headers["content-type"]?.startsWith("text/event-stream") === true;
  // pipeline() destroys the client's side when the gate's breaks off: a chunked answer must not end as if it were whole.
  const ended = (): void => undefined;
  if (isStream) pipeline(answer, new StreamKeepAlive(), outgoing, ended);
  else pipeline(answer, outgoing, ended);
}
