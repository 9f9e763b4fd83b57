/** What the WebSocket at `/api/health` says before it closes. */
const GREETING = "operator";

/** Close code for a socket that has done its work (RFC 6455 section 7.4.1). */
const NORMAL = 1000;

/**
 * A WebSocket that says a word and closes. With it `operator doctor` learns whether WebSockets come through everything between a machine and
 * this Worker: proxies like to drop the upgrade, and then no machine can connect while every page looks right. It needs no token,
 * because it costs less than the page that a refusal would be.
 */
export function greet(): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.send(GREETING);
  server.close(NORMAL, "");
  return new Response(null, { status: 101, webSocket: client });
}
