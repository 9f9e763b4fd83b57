import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";

/**
 * A way to a public Operator for programs that cannot sign in: adds a token to each request and passes everything else on, both ways,
 * as it comes. A host that is not this forwarder's own is passed on too.
 */
export class SignedInForwarder implements AsyncDisposable {
  readonly #server: Server;
  readonly #to: URL;
  readonly #token: string;

  static async start(to: URL, token: string): Promise<SignedInForwarder> {
    const forwarder = new SignedInForwarder(to, token);
    forwarder.#server.listen(0, "127.0.0.1");
    await once(forwarder.#server, "listening");
    return forwarder;
  }

  private constructor(to: URL, token: string) {
    this.#to = to;
    this.#token = token;
    this.#server = createServer((incoming, outgoing) => this.#pass(incoming, outgoing));
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { host = "" } = incoming.headers;
    const onward = request({
      host: "127.0.0.1",
      port: this.#to.port,
      servername: this.#to.hostname,
      method: incoming.method,
      path: incoming.url,
      agent: false,
      headers: {
        ...incoming.headers,
        host: host === this.url.host ? this.#to.host : host,
        authorization: `Bearer ${this.#token}`,
      },
    });
    incoming.pipe(onward);
    onward.on("response", (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers).flushHeaders();
      response.pipe(outgoing);
      response.on("error", () => outgoing.destroy());
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy()); // the client has gone away, or has its answer
  }
}
