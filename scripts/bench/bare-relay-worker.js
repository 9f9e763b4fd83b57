import { DurableObject } from "cloudflare:workers";

/** The least that a relay of this shape can be: Worker, Durable Object, one hibernating WebSocket. No auth, no limits, no streaming. */
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
    const { promise, resolve } = Promise.withResolvers();
    this.#waiting.set(id, resolve);
    socket.send(`${id} ${await request.text()}`);
    return new Response(await promise, { headers: { "content-type": "application/json" } });
  }

  webSocketMessage(_, message) {
    const space = message.indexOf(" ");
    const id = Number(message.slice(0, space));
    this.#waiting.get(id)(message.slice(space + 1));
    this.#waiting.delete(id);
  }
}

export default {
  fetch(request, env) {
    return env.RELAY.getByName("relay").fetch(request);
  },
};
