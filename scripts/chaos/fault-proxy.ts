import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export type Direction = "up" | "down";

type Pair = { readonly inner: Socket; readonly outer: Socket };

/** TCP between a connector and Operator that can be cut after any byte, stalled, or closed on one side only. */
export class FaultProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #cut: { direction: Direction; bytesLeft: number } | null = null;
  #refuses = false;
  #stalled = false;

  constructor(port: number) {
    this.#server = createServer({ allowHalfOpen: true }, (inner) => {
      if (this.#refuses) return void inner.resetAndDestroy();
      const outer = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      const pair = { inner, outer };
      this.#pairs.add(pair);
      for (const [socket, other] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        socket.setNoDelay(true);
        socket.on("error", () => undefined); // "close" follows, which ends the other side
        socket.on("end", () => other.end());
        socket.on("close", () => {
          this.#pairs.delete(pair);
          other.destroy();
        });
      }
      inner.on("data", (chunk) => this.#pass("up", chunk, outer));
      outer.on("data", (chunk) => this.#pass("down", chunk, inner));
      if (this.#stalled) this.#pause(pair);
    });
  }

  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen({ port: 0, host: "127.0.0.1" }, resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  /** Passes the given number of bytes in that direction, then resets every connection. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#cut = { direction, bytesLeft: bytes };
  }

  cutNow(): void {
    this.#cut = null;
    for (const { inner, outer } of this.#pairs) {
      inner.resetAndDestroy();
      outer.resetAndDestroy();
    }
  }

  /** Ends one direction of every connection and leaves the other open. */
  halfClose(direction: Direction): void {
    for (const { inner, outer } of this.#pairs) (direction === "up" ? outer : inner).end();
  }

  /** Bytes stop, connections stay: what a sleeping laptop or a dead route looks like. */
  stall(): void {
    this.#stalled = true;
    for (const pair of this.#pairs) this.#pause(pair);
  }

  flow(): void {
    this.#stalled = false;
    for (const { inner, outer } of this.#pairs) {
      inner.resume();
      outer.resume();
    }
  }

  /** Whether new connections are reset at once. */
  refuse(refuses: boolean): void {
    this.#refuses = refuses;
  }

  stop(): void {
    for (const { inner, outer } of this.#pairs) {
      inner.destroy();
      outer.destroy();
    }
    this.#server.close();
  }

  #pause({ inner, outer }: Pair): void {
    inner.pause();
    outer.pause();
  }

  #pass(direction: Direction, chunk: Buffer, to: Socket): void {
    const cut = this.#cut;
    if (cut === null || cut.direction !== direction) return void to.write(chunk);
    if (chunk.length < cut.bytesLeft) {
      cut.bytesLeft -= chunk.length;
      return void to.write(chunk);
    }
    to.write(chunk.subarray(0, cut.bytesLeft), () => this.cutNow());
  }
}
