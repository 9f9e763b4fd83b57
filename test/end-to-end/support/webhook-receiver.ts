import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request that reached a receiver, and when. */
export type Arrived = {
  readonly atMs: number;
  readonly path: string;
  readonly body: string;
  readonly bytes: Uint8Array;
  readonly headers: Headers;
};

/** A receiver of webhooks on this computer. Operator reaches it only if its origin is allowed. */
export class WebhookReceiver implements AsyncDisposable {
  readonly arrived: Arrived[] = [];
  /** Answers a request; by default everything is taken. */
  answer: (request: Request) => Promise<Response> | Response = () => new Response(null, { status: 204 });
  readonly #server: Server;

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    receiver.#server.listen(0, "127.0.0.1");
    await once(receiver.#server, "listening");
    return receiver;
  }

  private constructor() {
    this.#server = createServer((incoming, outgoing) => {
      // Its sender may be killed in the middle of a request.
      this.#take(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Stops listening, as after a crash. The port stays reserved. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const bytes = await bytesOf(incoming);
    const body = bytes.toString();
    const headers = new Headers(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
    this.arrived.push({ atMs: Date.now(), path: incoming.url ?? "", body, bytes, headers });
    const request = new Request(new URL(incoming.url ?? "/", this.origin), { method: "POST", headers, body });
    const response = await this.answer(request);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
  }
}

async function bytesOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
