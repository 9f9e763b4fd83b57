import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { type Edge, requestHeaders } from "./edge-headers.ts";
import type { Upstream } from "./relay.ts";

/** The upgrade headers are hop-by-hop, so each hop must send them itself (RFC 6455 section 4.2.1). */
const UPGRADE = "connection: Upgrade\r\nupgrade: websocket\r\n";

/**
 * Forwards a WebSocket upgrade to the gate: first the request's head, with the front's headers about the client, then bytes in
 * both directions. When one side closes, the other is closed too.
 */
export function relayUpgrade(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  upstream: Upstream,
  edge: Edge,
): void {
  const toGate = connect(upstream.socketPath);
  for (const [one, other] of [
    [socket, toGate],
    [toGate, socket],
  ] as const) {
    one.on("error", () => undefined); // "close" follows, which ends the other side
    one.on("close", () => other.destroy());
  }
  const headers = requestHeaders(incoming.rawHeaders, edge);
  let lines = `GET ${incoming.url} HTTP/1.1\r\n${UPGRADE}`;
  for (let at = 0; at < headers.length; at += 2) lines += `${headers[at]}: ${headers[at + 1]}\r\n`;
  toGate.write(`${lines}\r\n`);
  if (head.length > 0) toGate.write(head);
  socket.pipe(toGate);
  toGate.pipe(socket);
}
