import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { AddressRates } from "./address-rates.ts";
import { TrustedProxies } from "./client-address.ts";
import { Connections } from "./connections.ts";
import { HEAD_TIMEOUT_MS } from "./limits.ts";
import { RefusalLog } from "./refusal-log.ts";

const PREFIX = "/.well-known/acme-challenge/";

/**
 * The plain HTTP port of a front with TLS. It answers the certificate authority's challenges (RFC 8555 section 8.3) and redirects
 * all other requests to https. Nothing else is served without TLS.
 */
export class Challenges implements AsyncDisposable {
  readonly #server: Server;
  readonly #answers = new Map<string, string>();

  /** @throws Node's Error when it cannot listen there */
  static async start(host: string, port: number, origin: string, log: (line: string) => void): Promise<Challenges> {
    const connections = new Connections(new AddressRates(), new TrustedProxies([]), new RefusalLog(log));
    const challenges = new Challenges(origin, connections);
    await new Promise<void>((resolve, reject) => {
      challenges.#server.once("error", reject);
      challenges.#server.listen({ host, port }, resolve);
    });
    return challenges;
  }

  private constructor(origin: string, connections: Connections) {
    // Without the interval, Node looks for late heads every 30 s only.
    const limits = {
      headersTimeout: HEAD_TIMEOUT_MS,
      connectionsCheckingInterval: HEAD_TIMEOUT_MS / 4,
      maxHeaderSize: 16 * 1024,
    };
    this.#server = createServer(limits, (request, response) => {
      const path = request.url ?? "/";
      const answer = path.startsWith(PREFIX) ? this.#answers.get(path.slice(PREFIX.length)) : undefined;
      if (answer !== undefined) return void response.writeHead(200, { "content-type": "text/plain" }).end(answer);
      // The redirect uses the configured origin. Using the request's `Host` would make this an open redirect.
      const location = path.startsWith("/") ? origin + path : origin;
      response.writeHead(308, { location, connection: "close" }).end();
    });
    // Strangers reach this port as they reach the front's, and the connections of both are of one process.
    this.#server.on("connection", (socket) => connections.admit(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  expect(token: string, answer: string): void {
    this.#answers.set(token, answer);
  }

  forget(token: string): void {
    this.#answers.delete(token);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
