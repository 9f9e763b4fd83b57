import { type IncomingMessage, request, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { calm } from "./calm.ts";
import { type Edge, requestHeaders, responseHeaders } from "./edge-headers.ts";
import { framingOf } from "./framing.ts";
import { MAX_HEAD_BYTES } from "./limits.ts";
import { dismiss } from "./linger.ts";
import { respond, unavailable, type Upstream } from "./relay.ts";

/** The upgrade headers are hop-by-hop, so each hop must send them itself (RFC 6455 section 4.2.1). */
const UPGRADE = ["connection", "Upgrade", "upgrade", "websocket"];

/**
 * Forwards a WebSocket upgrade to the gate, with the front's headers about the client. Only when the gate has agreed (101) do bytes pass
 * in both directions, until one side closes. Any other answer is passed on, and ends the connection: what the client has sent after
 * its request's head must not reach the gate unread, since that would be requests with headers of its own choice.
 *
 * @param edge `null`: the request has no valid host or path, and is refused
 * @param waitMs more than 0: the client sends too many requests, and is refused until then
 */
export function relayUpgrade(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  upstream: Upstream,
  edge: Edge | null,
  waitMs: number,
): void {
  socket.on("error", () => undefined); // "close" follows, which ends the other side
  const outgoing = answerOn(incoming, socket);
  if (waitMs > 0) return calm(outgoing, waitMs);
  if (edge === null || !isWebSocket(incoming)) return refuse(outgoing);
  const toGate = request({
    socketPath: upstream.socketPath,
    path: incoming.url,
    headers: [...requestHeaders(incoming.rawHeaders, edge), ...UPGRADE],
    setHost: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    agent: false,
  });
  const gone = (): void => dismiss(socket);
  socket.on("end", gone); // an HTTP client that closes its sending side does not wait for an answer any more
  socket.on("close", () => toGate.destroy());
  toGate.on("error", () => unavailable(outgoing));
  toGate.on("response", (answer) => {
    socket.resume(); // discards what came after the head, and notices when the client closes the connection
    respond(answer, outgoing);
  });
  toGate.on("upgrade", (answer, gate, first) => {
    socket.off("end", gone);
    outgoing.detachSocket(socket as Socket);
    socket.write(headOf(answer));
    socket.write(first);
    gate.write(head);
    join(socket, gate);
    join(gate, socket);
  });
  toGate.end();
}

/**
 * The one kind of upgrade that there is here: a GET without a body (RFC 6455 section 4.1). Any other is ignored (RFC 9110 section 7.8): proxies pass on
 * what clients offer, such as `h2c`, and their requests are answered as if they had not.
 */
export function isWebSocket(incoming: IncomingMessage): boolean {
  const { method, headers } = incoming;
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket" && framingOf(incoming).kind === "none";
}

/** An HTTP answer on the upgrade's socket, after which the connection ends. */
function answerOn(incoming: IncomingMessage, socket: Duplex): ServerResponse {
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  outgoing.assignSocket(socket as Socket); // of an HTTP/1.1 connection: net.Socket or tls.TLSSocket
  outgoing.on("finish", () => dismiss(socket));
  return outgoing;
}

function refuse(outgoing: ServerResponse): void {
  const message = "Only a GET without a body can be upgraded, and only to a WebSocket.";
  outgoing.writeHead(400, { "content-type": "application/json" });
  outgoing.end(JSON.stringify({ error: { code: "invalid_request", message, retryable: false } }));
}

function headOf(answer: IncomingMessage): string {
  const headers = Object.entries(responseHeaders(answer.rawHeaders)).flatMap(([name, values]) =>
    values.map((value) => `${name}: ${value}\r\n`),
  );
  return `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${headers.join("")}\r\n`;
}

function join(from: Duplex, to: Duplex): void {
  from.on("error", () => undefined); // "close" follows
  from.on("close", () => to.destroy());
  from.pipe(to);
}
