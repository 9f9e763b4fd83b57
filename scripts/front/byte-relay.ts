import { connect, createServer, type AddressInfo, type OnReadOpts, type Server, type Socket } from "node:net";
import { type HostileEdge, UserAgentCheck } from "./hostile-edge.ts";
import type { Upstream } from "./relay.ts";

/** Room for what the gate says: small for the many connections with short answers, large for one that fills it. */
const ROOM_BYTES = 4_096;
const LARGE_ROOM_BYTES = 65_536;

/**
 * The front of a start for this computer only. It passes bytes between a loopback port and the gate's Unix socket without reading
 * them. It exists because workerd notices immediately when the client of a Unix socket closes the connection, but over TCP
 * only at its next write. It adds a third of the time that an HTTP proxy would add to a call (`npm run bench`). It drops no
 * headers: with a loopback start the gate ignores what headers say about the client's address (`NO_EDGE`).
 */
export class ByteRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @throws Node's Error when it cannot listen there (EADDRINUSE) */
  static async start(port: number, upstream: Upstream, edge: HostileEdge | null = null): Promise<ByteRelay> {
    const relay = new ByteRelay(upstream, edge);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once("error", reject);
      relay.#server.listen({ host: "127.0.0.1", port }, resolve);
    });
    return relay;
  }

  private constructor({ socketPath }: Upstream, edge: HostileEdge | null) {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
      const gate = connect({ path: socketPath, allowHalfOpen: true, onread: onto(client) });
      const check = edge?.refusesNameless === true ? new UserAgentCheck(client) : null;
      // Both what the client sends and what is written to it count as activity of its socket.
      if (edge !== null) client.setTimeout(edge.silenceMs, () => client.destroy());
      client.on("data", (chunk: Buffer) => {
        if (!gate.write(check?.pass(chunk) ?? chunk)) client.pause();
      });
      this.#join(client, gate);
      this.#join(gate, client);
      // A client that closes its sending side has disconnected: HTTP clients do not wait for an answer after that. Half-open
      // connections are allowed above so that this event is ours to handle: the gate's socket is destroyed, which workerd
      // notices immediately. The other direction is different: the gate's last bytes must reach the client, so it is ended.
      client.on("end", () => gate.destroy());
      gate.on("end", () => client.end());
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** One direction. Reading pauses while the other end's buffer is full, so a slow reader does not fill memory. */
  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    to.on("drain", () => from.resume());
    from.on("error", () => undefined); // "close" follows, which ends the other side
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/**
 * Reads what is written to `to` into the same memory again and again. By itself Node takes 64 KB more for each read, however short, and collecting
 * that garbage costs more than passing on the bytes.
 */
function onto(to: Socket): OnReadOpts {
  let room = Buffer.allocUnsafe(ROOM_BYTES);
  return {
    buffer: () => room,
    callback(bytes, read) {
      const goesOn = to.write(read.subarray(0, bytes));
      const needed = bytes === read.length ? LARGE_ROOM_BYTES : read.length;
      // What the system has not taken yet is still read from this memory.
      if (to.writableLength > 0 || needed > read.length) room = Buffer.allocUnsafe(needed);
      return goesOn;
    },
  };
}
