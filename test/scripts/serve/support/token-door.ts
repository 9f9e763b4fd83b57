import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { TestMachine } from "./machine.ts";

/** A way to `codez serve` for programs that cannot send a header: adds the token, and passes all else as it is. */
export class TokenDoor implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(machine: TestMachine): Promise<TokenDoor> {
    const server = createServer((incoming, outgoing) => {
      const { method = "GET", url = "/", headers } = incoming;
      const passed = request(
        new URL(url, machine.url),
        { method, agent: false, headers: { ...headers, ...machine.authorization } },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
          answer.pipe(outgoing);
        },
      );
      passed.on("error", () => outgoing.destroy());
      outgoing.on("close", () => passed.destroy());
      incoming.pipe(passed);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the door has no port");
    return new TokenDoor(server, `http://127.0.0.1:${address.port}/mcp`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
