import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A line that is put in front of the machine template, or a wrapper around it that answers some requests itself. */
export type Breakage = { first: string } | { answers: string };

/** The platform's API, but what Operator uploads is broken on the way. What Operator takes back is not. */
export class BreakingApi implements AsyncDisposable {
  /** The build of the template that is broken, and how; the API is itself while this is `null`. */
  breaks: { template: string; how: Breakage } | null = null;
  /** Base URL of the real API. */
  target = "";
  readonly #server: Server;

  static async start(): Promise<BreakingApi> {
    const api = new BreakingApi();
    api.#server.listen(0, "127.0.0.1");
    await once(api.#server, "listening");
    return api;
  }

  private constructor() {
    this.#server = createServer((incoming, outgoing) => {
      this.#answer(incoming, outgoing).catch(() => outgoing.destroy()); // the platform has lost a reply, and so does this
    });
  }

  /** Base URL for the SDK. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/client/v4`;
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "GET", url = "/", headers } = incoming;
    const body = await buffer(incoming);
    const sent = new Headers({ authorization: headers.authorization ?? "", "user-agent": "breaking-api" });
    if (headers["content-type"] !== undefined) sent.set("content-type", headers["content-type"]);
    const encoded = method === "PUT" ? await this.#broken(body, sent) : null;
    if (encoded !== null) sent.set("content-type", encoded.headers.get("content-type") ?? "");
    const answer = await fetch(new URL(url, this.target), {
      method,
      headers: sent,
      ...(method === "GET" ? {} : { body: encoded === null ? body : await encoded.arrayBuffer() }),
    });
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
    outgoing.end(Buffer.from(await answer.arrayBuffer()));
  }

  /** The upload as it goes on; `null`: as it is. */
  async #broken(body: Buffer<ArrayBuffer>, headers: Headers): Promise<Response | null> {
    if (this.breaks === null || !headers.get("content-type")?.startsWith("multipart/")) return null;
    const { template, how } = this.breaks;
    const form = await new Response(body, { headers }).formData();
    if (!String(form.get("metadata")).includes(`"text":"${template}-`)) return null;
    const code = await (form.get("index.js") as File).text();
    const module = (text: string): File => new File([text], "x", { type: "application/javascript+module" });
    if ("first" in how) form.set("index.js", module(`${how.first}\n${code}`));
    else {
      form.set("real.js", module(code));
      form.set(
        "index.js",
        module(`import real from "./real.js"; export * from "./real.js";
          export default { fetch(request, env, ctx) {
            const { pathname } = new URL(request.url);
            ${how.answers}
            return real.fetch(request, env, ctx);
          } };`),
      );
    }
    return new Response(form);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
