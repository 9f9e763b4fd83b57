import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export type Direction = "up" | "down";

/** TCP between a connector and Operator, which can be cut after any byte. */
export class CutProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: { direction: Direction; bytesLeft: number; done: () => void } | null = null;

  static async start(port: () => number): Promise<CutProxy> {
    const proxy = new CutProxy(port);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  private constructor(port: () => number) {
    this.#server = createServer((inner) => {
      const outer = connect(port(), "127.0.0.1");
      for (const socket of [inner, outer]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on("close", () => {
          this.#sockets.delete(socket);
          inner.destroy();
          outer.destroy();
        });
        socket.on("error", () => undefined); // its close follows
      }
      inner.on("data", (chunk) => this.#pass("up", chunk, outer));
      outer.on("data", (chunk) => this.#pass("down", chunk, inner));
    });
  }

  /** The same address by way of this proxy. */
  through(url: string): string {
    const address = new URL(url);
    address.port = String((this.#server.address() as AddressInfo).port);
    return address.href;
  }

  /** Passes so many bytes more in that direction, then cuts every connection; resolves when that has happened. */
  cutAfter(direction: Direction, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#cut = { direction, bytesLeft: bytes, done: resolve };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #pass(direction: Direction, chunk: Buffer, to: Socket): void {
    const cut = this.#cut;
    if (cut === null || cut.direction !== direction) return void to.write(chunk);
    if (chunk.length < cut.bytesLeft) {
      cut.bytesLeft -= chunk.length;
      to.write(chunk);
      return;
    }
    this.#cut = null;
    to.write(chunk.subarray(0, cut.bytesLeft), () => {
      for (const socket of this.#sockets) socket.destroy();
      cut.done();
    });
  }
}
