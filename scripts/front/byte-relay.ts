import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Upstream } from "./relay.ts";

/**
 * The front of a start that only its own computer reaches: bytes from a loopback port to the gate's Unix socket, unread. It is there
 * for one thing: workerd notices on a Unix socket at once that its client closed the connection, and on TCP only at its next write.
 * It costs a call a third of what reading HTTP would (`npm run bench`), and there is nobody here whose headers need to be dropped:
 * the gate's socket does that (`injectRequestHeaders`).
 */
export class ByteRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @throws Error of Node's when it cannot listen there (EADDRINUSE) */
  static async start(port: number, upstream: Upstream): Promise<ByteRelay> {
    const relay = new ByteRelay(upstream);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once("error", reject);
      relay.#server.listen({ host: "127.0.0.1", port }, resolve);
    });
    return relay;
  }

  private constructor({ socketPath }: Upstream) {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
      const gate = connect({ path: socketPath, allowHalfOpen: true });
      this.#join(client, gate);
      this.#join(gate, client);
      // A client that ends its side has hung up: no client of HTTP goes on listening after that.
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

  /** Passes one direction on, no faster than the other end takes it. */
  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("data", (chunk) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => from.resume());
    from.on("error", () => undefined); // its close follows
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
