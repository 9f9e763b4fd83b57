import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** A server on loopback that answers as a test says. */
export class HttpServer implements AsyncDisposable {
  readonly requests: IncomingMessage[] = [];
  readonly server: Server;
  #seen: (() => void)[] = [];

  static async start(handler: Handler, port = 0): Promise<HttpServer> {
    const http = new HttpServer(handler);
    http.server.listen(port, "127.0.0.1");
    await once(http.server, "listening");
    return http;
  }

  private constructor(handler: Handler) {
    this.server = createServer((request, response) => {
      this.requests.push(request);
      for (const wake of this.#seen.splice(0)) wake();
      Promise.resolve(handler(request, response)).catch((reason: unknown) => response.destroy(reason as Error));
    });
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.server.address() as AddressInfo).port}/mcp`);
  }

  async requested(count: number): Promise<void> {
    while (this.requests.length < count) await new Promise<void>((resolve) => this.#seen.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}

export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
