import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { type Edge, requestHeaders } from "./edge-headers.ts";
import type { Upstream } from "./relay.ts";

/** A WebSocket's own headers are hop-by-hop, and are said again to the next hop (RFC 6455 section 4.2.1). */
const UPGRADE = "connection: Upgrade\r\nupgrade: websocket\r\n";

/**
 * Hands a WebSocket upgrade to the gate: the request's head with the front's own words about the client, and from then on bytes
 * both ways. Whichever side ends, ends the other.
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
    one.on("error", () => undefined); // its close follows
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
