import { DurableObject } from "cloudflare:workers";

/**
 * The minimal relay with the same hops as Operator: Worker, Durable Object, one hibernating WebSocket. No sign-in, no limits.
 * Messages are text: `<id> <body>` each way. A path of /stream asks for the answer in parts: `<id>+<part>`, then `<id> `.
 */
export class Relay extends DurableObject {
  #waiting = new Map();
  #next = 1;

  async fetch(request) {
    if (request.headers.get("upgrade") === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      this.ctx.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    const [socket] = this.ctx.getWebSockets();
    const id = this.#next++;
    if (request.url.endsWith("/stream")) return this.#stream(socket, id, await request.text());
    const { promise, resolve } = Promise.withResolvers();
    this.#waiting.set(id, resolve);
    socket.send(`${id} ${await request.text()}`);
    return new Response(await promise, { headers: { "content-type": "application/json" } });
  }

  #stream(socket, id, body) {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    const encoder = new TextEncoder();
    this.#waiting.set(id, (part, isLast) => (isLast ? writer.close() : writer.write(encoder.encode(part))));
    socket.send(`${id}+${body}`);
    return new Response(readable, { headers: { "content-type": "text/event-stream" } });
  }

  webSocketMessage(_, message) {
    const [, id, kind] = /^(\d+)([ +])/.exec(message);
    const isLast = kind === " ";
    this.#waiting.get(Number(id))(message.slice(id.length + 1), isLast);
    if (isLast) this.#waiting.delete(Number(id));
  }
}

export default {
  fetch(request, env) {
    return env.RELAY.getByName("relay").fetch(request);
  },
};
