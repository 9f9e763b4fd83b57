import type { IncomingMessage } from "node:http";
import { type Handler, HttpServer } from "../../scripts/connector/support/http-server.ts";

/** A server behind a machine that answers as the current test says, and shows what reached it. */
export class ScriptedServer implements AsyncDisposable {
  #http: HttpServer | null = null;
  #handler: Handler;

  static async start(handler: Handler): Promise<ScriptedServer> {
    const server = new ScriptedServer(handler);
    server.#http = await HttpServer.start((request, response) => server.#handler(request, response));
    return server;
  }

  private constructor(handler: Handler) {
    this.#handler = handler;
  }

  get url(): URL {
    return this.#server.url;
  }

  get requests(): IncomingMessage[] {
    return this.#server.requests;
  }

  /** Answers like this from now on, and forgets what was asked before. */
  answer(handler: Handler): void {
    this.#handler = handler;
    this.requests.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  get #server(): HttpServer {
    if (this.#http === null) throw new Error("a server that was not started");
    return this.#http;
  }
}
