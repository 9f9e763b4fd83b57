import type { Duplex } from "node:stream";
import { LINGER_MS } from "./limits.ts";

/**
 * Ends a connection after what has been written to it. The client has `LINGER_MS` to read that and to close its side; then the connection
 * is cut. Until then everything that the client sends is discarded. Without a reader, Node would not notice that the client has closed:
 * the connection would count as open, for as long as the front runs, although nobody holds its other end.
 */
export function dismiss(socket: Duplex): void {
  socket.end();
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
