import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CloseCode } from "#protocol/close-code.ts";
import { type Facts, FromConnector, parseControl } from "#protocol/control.ts";
import { ERROR_HEADER } from "#protocol/error.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { RegisterRequest } from "#protocol/rest-api.ts";
import { type WebSocket, WebSocketServer } from "ws";

type Machine = {
  name: string;
  identity: string;
  token: string;
  socket: WebSocket | null;
  /** The last frame of its connector. */
  facts: Facts | null;
};

/** An Operator as `codez` sees it: the registry's REST API, links by path, and `list_machines` at `/mcp`. */
export class HubStandIn implements AsyncDisposable {
  readonly machines = new Map<string, Machine>();
  /** `METHOD path` of every REST request. */
  readonly asked: string[] = [];
  /** The only bearer token that is let in; `null`: everybody is. */
  bearer: string | null = null;
  /** The protocol that its scripts speak. */
  protocol: number = PROTOCOL_VERSION;
  /** Whether `/mcp` knows the machines, as it should. */
  lists = true;
  /** Whether it breaks off instead of answering who registers a machine, once it has done so. */
  losesAnswers = false;
  /** The codez that it serves, and the SHA-256 that it states. */
  tarball: { content: Uint8Array; sha256: string } | null = null;
  /** How long it keeps events. */
  retention = { days: 30, events: 250_000 };
  /** The tools that were called at `/mcp`. */
  readonly called: string[] = [];
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  #tokens = 0;
  #told: (() => void)[] = [];

  static async start(): Promise<HubStandIn> {
    const hub = new HubStandIn();
    hub.#server.listen(0, "127.0.0.1");
    await once(hub.#server, "listening");
    return hub;
  }

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((reason: unknown) => response.destroy(reason as Error));
    });
    this.#server.on("upgrade", (request, socket, head) => {
      const machine = this.machines.get(request.url?.split("/")[2] ?? "");
      if (machine === undefined || request.headers.authorization !== `Bearer ${machine.token}`) {
        socket.end(
          `HTTP/1.1 401 No\r\n${ERROR_HEADER}: unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
        );
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#greet(machine, webSocket));
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Another computer's machine. */
  add(name: string): Machine {
    const machine = { name, identity: "somebody-elses-identity", token: this.#newToken(), socket: null, facts: null };
    this.machines.set(name, machine);
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** Waits until a machine's connector has said such facts. */
  async knows(name: string, holds: (facts: Facts) => boolean): Promise<void> {
    for (;;) {
      const facts = this.machines.get(name)?.facts ?? null;
      if (facts !== null && holds(facts)) return;
      await new Promise<void>((resolve) => this.#told.push(resolve));
    }
  }

  #greet(machine: Machine, socket: WebSocket): void {
    socket.on("message", (message: Buffer, isBinary) => {
      const frame = isBinary ? null : parseControl(FromConnector, message.toString());
      if (frame?.type === "facts" || frame?.type === "hello") machine.facts = frame.facts;
      for (const wake of this.#told.splice(0)) wake();
      if (frame?.type !== "hello") return;
      if (frame.protocol !== this.protocol)
        return socket.close(
          CloseCode.PROTOCOL_TOO_OLD,
          `this Operator speaks protocol ${this.protocol}, the connector ${frame.protocol}`,
        );
      machine.socket?.close(CloseCode.REPLACED, "a newer connector took over");
      machine.socket = socket;
      socket.send(JSON.stringify({ type: "welcome", protocol: PROTOCOL_VERSION, epoch: 1, acked: 0 }));
    });
    socket.on("close", () => {
      if (machine.socket === socket) machine.socket = null;
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    if (path === "/codez.tgz" && this.tarball !== null) return void response.end(this.tarball.content);
    if (path === "/codez.tgz.sha256") return void response.end(`${this.tarball?.sha256}  codez.tgz\n`);
    const body = await jsonOf(request);
    if (path.endsWith("/link")) return this.#presence(path.split("/")[2] ?? "", request, response);
    if (this.bearer !== null && request.headers.authorization !== `Bearer ${this.bearer}`)
      return say(response, 401, { error: { code: "unauthorized", message: "Sign in first" } });
    if (path === "/mcp") return this.#mcp(body, response);
    this.asked.push(`${request.method} ${path}`);
    if (path.startsWith("/api/history/retention")) return this.#retention(path, request.method, body, response);
    if (path.startsWith("/api/history?")) return say(response, 200, { events: 3, sessions: 1 });
    const [, , , name = "", last] = path.split("/");
    if (request.method === "POST" && name === "") return this.#register(body, response);
    if (name === "")
      return say(response, 200, { machines: [...this.machines.values()].map((one) => this.#summary(one)) });
    const machine = this.machines.get(name);
    if (machine === undefined)
      return say(response, 404, { error: { code: "machine_unknown", message: `There is no machine "${name}".` } });
    if (last === "token") {
      machine.token = this.#newToken();
      machine.socket?.close(CloseCode.REVOKED, "the token was rotated");
      return say(response, 200, this.#registration(machine, machine.token));
    }
    if (request.method === "DELETE") {
      this.machines.delete(name);
      machine.socket?.close(CloseCode.REVOKED, "the machine was removed");
      return void response.writeHead(204).end();
    }
    if (request.method === "PATCH") {
      this.machines.delete(name);
      machine.name = (body as { name: string }).name;
      this.machines.set(machine.name, machine);
      machine.socket?.close(CloseCode.RENAMED, machine.name);
      return say(response, 200, this.#summary(machine));
    }
    return say(response, 200, { ...this.#summary(machine), state: null, error: null });
  }

  /** A log of 500 events, of which each day less than 30 would delete ten. */
  #retention(path: string, method: string | undefined, body: unknown, response: ServerResponse): void {
    const query = new URL(path, this.origin).searchParams;
    if (method === "PUT") {
      this.retention = body as typeof this.retention;
      return say(response, 200, this.retention);
    }
    if (!query.has("days")) return say(response, 200, this.retention);
    const [days, events] = [Number(query.get("days")), Number(query.get("events"))];
    if (days > 365 || events < 1_000)
      return say(response, 400, { error: { code: "invalid_request", message: "days from 1 to 365" } });
    return say(response, 200, { days, events, stored: 500, deletes: Math.max(0, 30 - days) * 10 });
  }

  /** The answer of a machine's own script to the machine. */
  #presence(name: string, request: IncomingMessage, response: ServerResponse): void {
    const machine = this.machines.get(name);
    if (machine === undefined || request.headers.authorization !== `Bearer ${machine.token}`)
      return say(response, 401, { error: { code: "unauthorized", message: "Not a machine's token" } });
    const online = machine.socket !== null;
    const position = { epoch: "e", seq: 0 };
    const times = { connectedAtMs: online ? 1 : null, lastSeenMs: 1 };
    return say(response, 200, { online, epoch: 1, ...times, facts: machine.facts, position, template: "t" });
  }

  #register(body: unknown, response: ServerResponse): void {
    const { name, identity, rotate = false, replace = false } = RegisterRequest.parse(body);
    const known = this.machines.get(name);
    if (known !== undefined && known.identity !== identity && !replace)
      return say(response, 409, { error: { code: "name_taken", message: `Another machine is called "${name}".` } });
    if (this.losesAnswers) response.destroy();
    const isKept = known !== undefined && known.identity === identity && !rotate;
    if (isKept) return say(response, 200, this.#registration(known, null));
    const machine = { name, identity, token: this.#newToken(), socket: null, facts: null };
    this.machines.set(name, machine);
    return say(response, known === undefined ? 201 : 200, this.#registration(machine, machine.token));
  }

  /** Enough of a 2025 server, without sessions, for one tool. */
  #mcp(body: unknown, response: ServerResponse): void {
    const { id, method } = (body ?? {}) as { id?: number; method?: string };
    if (id === undefined) return void response.writeHead(method === undefined ? 405 : 202).end();
    if (method === "initialize") {
      const serverInfo = { name: "operator", version: "1" };
      return say(response, 200, {
        jsonrpc: "2.0",
        id,
        result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo },
      });
    }
    if (method !== "tools/call")
      return say(response, 200, { jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } });
    const { name = "" } = (body as { params?: { name?: string } }).params ?? {};
    this.called.push(name);
    if (name === "list_tools")
      return say(response, 200, { jsonrpc: "2.0", id, result: { content: [], structuredContent: { tools: [{}] } } });
    const machines = this.lists ? [...this.machines.values()].map((one) => this.#summary(one)) : [];
    return say(response, 200, { jsonrpc: "2.0", id, result: { content: [], structuredContent: { machines } } });
  }

  #registration({ name }: Machine, token: string | null): object {
    const linkUrl = `${this.origin.replace("http", "ws")}/m/${name}/link`;
    return {
      name,
      slug: name,
      linkUrl,
      mcpUrl: `${this.origin}/m/${name}/mcp`,
      mcpHostUrl: `http://${name}.localhost/mcp`,
      token,
    };
  }

  #summary(machine: Machine): object {
    const { name, socket } = machine;
    const status = socket === null ? "offline" : "online";
    return {
      ...this.#registration(machine, null),
      name,
      status,
      lastSeenMs: 1,
      createdMs: 1,
      facts: machine.facts,
      template: "t",
      outdated: false,
    };
  }

  #newToken(): string {
    this.#tokens += 1;
    return `link-token-${this.#tokens}`;
  }
}

async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length === 0 ? null : JSON.parse(Buffer.concat(chunks).toString());
}

function say(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
