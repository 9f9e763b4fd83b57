import { evictDurableObject } from "cloudflare:test";
import { HandshakeFailed } from "../../../machine-template/src/failure.ts";
import { type HandshakeLimits, McpClient } from "../../../machine-template/src/mcp-client.ts";
import { afterEach, describe, expect, it } from "vitest";
import { FrameKind } from "#protocol/frame.ts";
import type { CallRequest } from "#protocol/script-api.ts";
import { ask, env, forget, type RequestFrame, TestConnector } from "./support/connector.ts";

afterEach(forget);

type Message = { id?: string; method: string; params?: Record<string, unknown> & { _meta?: Record<string, unknown> } };

/** A request of the script's own MCP client, as the server behind the connector sees it. */
type Seen = { exchange: number; message: Message; headers: Record<string, string> };

function seenIn({ exchange, head, body }: RequestFrame): Seen {
  return { exchange, message: JSON.parse(new TextDecoder().decode(body)), headers: Object.fromEntries(head.headers) };
}

/** A machine's MCP server, played by the test: it keeps sessions, answers handshakes, and leaves calls to the test. */
class TestServer {
  readonly connector: TestConnector;
  readonly handshakes: string[] = [];
  /** Methods of the requests that came for no session of this server. */
  readonly refused: string[] = [];
  sessions = new Set<string>();
  #era: "modern" | "legacy";
  #made = 0;

  private constructor(connector: TestConnector, era: "modern" | "legacy") {
    this.connector = connector;
    this.#era = era;
  }

  static async start(era: "modern" | "legacy"): Promise<TestServer> {
    return new TestServer(await TestConnector.greeted(), era);
  }

  become(era: "modern" | "legacy"): void {
    this.#era = era;
    this.sessions.clear();
  }

  /** The next request that is neither handshake nor refused for its session. */
  async call(): Promise<Seen> {
    for (;;) {
      const seen = seenIn(await this.connector.request());
      if (!this.#settles(seen)) return seen;
    }
  }

  reply({ exchange, message }: Seen, result: object = {}): void {
    this.connector.respondJson(exchange, { id: message.id, result });
  }

  #settles({ exchange, message, headers }: Seen): boolean {
    const { connector } = this;
    if (this.#era === "modern") {
      if (headers["mcp-protocol-version"] !== "2026-07-28") {
        connector.respond(
          exchange,
          { status: 400 },
          '{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"old"}}',
        );
        return true;
      }
      if (message.method !== "server/discover") return false;
      this.handshakes.push(message.method);
      connector.respondJson(exchange, {
        id: message.id,
        result: { supportedVersions: ["2026-07-28"], capabilities: {} },
      });
      return true;
    }
    if (message.method === "initialize") {
      this.#made += 1;
      const session = `session-${this.#made}`;
      this.sessions.add(session);
      this.handshakes.push(message.method);
      const result = { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "s", version: "1" } };
      connector.respondJson(exchange, { id: message.id, result }, [["mcp-session-id", session]]);
      return true;
    }
    const session = headers["mcp-session-id"];
    if (session === undefined || !this.sessions.has(session)) {
      this.refused.push(message.method);
      const status = session === undefined ? 400 : 404;
      connector.respond(
        exchange,
        { status },
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}',
      );
      return true;
    }
    if (message.method !== "notifications/initialized") return false;
    this.handshakes.push(message.method);
    connector.respond(exchange, { status: 202 });
    return true;
  }
}

function call(request: Partial<CallRequest> = {}, signal?: AbortSignal): Promise<Response> {
  const whole = {
    method: "tools/call",
    params: { name: "echo", arguments: { a: 1 } },
    progress: false,
    timeoutMs: 20_000,
    ...request,
  };
  return ask("/operator/call", {
    method: "POST",
    body: JSON.stringify(whole),
    ...(signal === undefined ? {} : { signal }),
  });
}

describe("a server of 2026-07-28", () => {
  it("is asked once for its revision, and called without a session, with the revision's headers and _meta", async () => {
    const server = await TestServer.start("modern");
    for (let turn = 0; turn < 2; turn += 1) {
      const asked = call({ params: { name: "echo", arguments: { turn }, _meta: { traceparent: "00-1" } } });
      const seen = await server.call();
      expect(seen.headers).toMatchObject({
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "echo",
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      });
      expect(seen.headers["mcp-session-id"]).toBeUndefined();
      expect(seen.message.params).toMatchObject({ name: "echo", arguments: { turn } });
      expect(seen.message.params?._meta).toEqual({
        traceparent: "00-1",
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { name: "operator", version: "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
      });
      server.reply(seen, { turn });
      expect(await (await asked).json()).toMatchObject({ result: { turn } });
    }
    expect(server.handshakes).toEqual(["server/discover"]);
  });

  it("gets a tool name that is not plain ASCII in Base64, and a resource by its URI", async () => {
    const server = await TestServer.start("modern");
    const names: [Record<string, unknown>, string | undefined][] = [
      [{ name: "größe" }, "=?base64?Z3LDtsOfZQ==?="],
      [{ name: " padded" }, "=?base64?IHBhZGRlZA==?="],
      [{ name: "=?base64?x?=" }, "=?base64?PT9iYXNlNjQ/eD89?="],
      [{ uri: "file:///a b" }, "file:///a b"],
      [{ cursor: "c" }, undefined],
    ];
    for (const [params, name] of names) {
      const asked = call({ params });
      const seen = await server.call();
      expect(seen.headers["mcp-name"]).toBe(name);
      server.reply(seen);
      await (await asked).body?.cancel();
    }
  });

  it("learns that a caller left from the end of its exchange alone", async () => {
    const server = await TestServer.start("modern");
    const caller = new AbortController();
    const asked = call({}, caller.signal).catch((reason: unknown) => reason);
    const { exchange } = await server.call();
    caller.abort();
    await server.connector.until(() =>
      server.connector.frames.some((one) => one.kind === FrameKind.CANCEL && one.exchange === exchange),
    );
    expect(server.connector.frames.filter(({ kind }) => kind === FrameKind.REQUEST)).toEqual([]);
    await asked;
  });
});

describe("a server of 2025-11-25", () => {
  it("gets one handshake, and every call uses that session, even after the script was evicted", async () => {
    const server = await TestServer.start("legacy");
    for (let turn = 0; turn < 3; turn += 1) {
      const asked = call({ params: { name: "echo", arguments: { turn } } });
      const seen = await server.call();
      expect(seen.headers).toMatchObject({ "mcp-protocol-version": "2025-11-25", "mcp-session-id": "session-1" });
      expect(seen.headers["mcp-method"]).toBeUndefined();
      expect(seen.message.params).toEqual({ name: "echo", arguments: { turn } });
      server.reply(seen, { turn });
      expect(await (await asked).json()).toMatchObject({ result: { turn } });
      if (turn === 1) await evictDurableObject(env.MACHINE.getByName("machine"));
    }
    expect(server.handshakes).toEqual(["initialize", "notifications/initialized"]);
  });

  it("may answer initialize in an event stream that never ends", async () => {
    const connector = await TestConnector.greeted();
    const asked = call();
    const discover = seenIn(await connector.request());
    connector.respond(discover.exchange, { status: 405 });
    const initialize = seenIn(await connector.request());
    expect(initialize.message).toMatchObject({ method: "initialize", params: { protocolVersion: "2025-11-25" } });
    const stream = { headers: [["content-type", "text/event-stream"]] as [string, string][] };
    const result = '{"jsonrpc":"2.0","id":"operator-initialize",\ndata: "result":{"protocolVersion":"2025-06-18"}}';
    connector.respond(initialize.exchange, stream, `: hello\n\nevent: message\ndata: ${result}\n\n`, false);
    const initialized = seenIn(await connector.request());
    expect(initialized.message.method).toBe("notifications/initialized");
    connector.respond(initialized.exchange, { status: 202 });
    const seen = seenIn(await connector.request());
    expect(seen.headers).toMatchObject({ "mcp-protocol-version": "2025-06-18" });
    connector.respondJson(seen.exchange, { id: seen.message.id, result: { ok: true } });
    expect(await (await asked).json()).toMatchObject({ result: { ok: true } });
  });

  it("gets a new handshake after it lost the session, and the call runs once", async () => {
    const server = await TestServer.start("legacy");
    const first = call();
    server.reply(await server.call());
    await (await first).text();
    server.sessions.clear();
    const asked = call({ params: { name: "deploy" } });
    const seen = await server.call();
    expect(seen.headers["mcp-session-id"]).toBe("session-2");
    server.reply(seen, { deployed: true });
    expect(await (await asked).json()).toMatchObject({ result: { deployed: true } });
    expect(server.connector.frames.filter(({ kind }) => kind === FrameKind.REQUEST)).toEqual([]);
    expect(server.handshakes.filter((method) => method === "initialize")).toHaveLength(2);
  });

  it("gets one new handshake for several calls after it lost the session", async () => {
    const server = await TestServer.start("legacy");
    const first = call();
    server.reply(await server.call());
    await (await first).text();
    server.sessions.clear();
    // All of them are on their way before any is refused; the last is refused when the new session is there already.
    const asked = ["a", "b", "c"].map((name) => call({ params: { name } }));
    const refused = [
      await server.connector.request(),
      await server.connector.request(),
      await server.connector.request(),
    ];
    const refuse = (frame: RequestFrame | undefined): void =>
      server.connector.respond(frame?.exchange ?? 0, { status: 404 });
    refuse(refused[0]);
    refuse(refused[1]);
    const names: unknown[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      const seen = await server.call();
      names.push(seen.message.params?.["name"]);
      expect(seen.headers["mcp-session-id"]).toBe("session-2");
      server.reply(seen);
      if (turn === 1) refuse(refused[2]);
    }
    expect(names.toSorted()).toEqual(["a", "b", "c"]);
    for (const response of await Promise.all(asked)) expect(response.status).toBe(200);
    expect(server.handshakes.filter((method) => method === "initialize")).toHaveLength(2);
  });

  it("is told when a caller leaves, by the id of the call", async () => {
    const server = await TestServer.start("legacy");
    const caller = new AbortController();
    const asked = call({}, caller.signal).catch((reason: unknown) => reason);
    const seen = await server.call();
    caller.abort();
    const told = await server.call();
    expect(told.message).toMatchObject({ method: "notifications/cancelled", params: { requestId: seen.message.id } });
    expect(told.message.id).toBeUndefined();
    expect(told.headers["mcp-session-id"]).toBe("session-1");
    server.connector.respond(told.exchange, { status: 202 });
    await server.connector.until(() =>
      server.connector.frames.some((one) => one.kind === FrameKind.CANCEL && one.exchange === seen.exchange),
    );
    await asked;
  });

  it("is told once, by the id of the second attempt, when the first was refused for its session", async () => {
    const server = await TestServer.start("legacy");
    const first = call();
    server.reply(await server.call());
    await (await first).text();
    server.sessions.clear();
    const caller = new AbortController();
    const asked = call({}, caller.signal).catch((reason: unknown) => reason);
    const seen = await server.call();
    caller.abort();
    const told = await server.call();
    expect(told.message.params).toEqual({ requestId: seen.message.id });
    expect(told.headers["mcp-session-id"]).toBe("session-2");
    server.connector.respond(told.exchange, { status: 202 });
    await asked;
    await ask("/operator/state"); // a round trip: a second word would be here by now
    expect(server.refused).not.toContain("notifications/cancelled");
    expect(server.connector.frames.filter(({ kind }) => kind === FrameKind.REQUEST)).toEqual([]);
  });
});

describe("a server of any revision", () => {
  it.each([
    ["legacy", "modern"],
    ["modern", "legacy"],
  ] as const)("a %s server that was replaced by a %s one is found out by the next call", async (before, after) => {
    const server = await TestServer.start(before);
    const first = call();
    server.reply(await server.call());
    await (await first).text();
    server.become(after);
    const asked = call({ params: { name: "again" } });
    const seen = await server.call();
    expect(seen.headers["mcp-protocol-version"]).toBe(after === "modern" ? "2026-07-28" : "2025-11-25");
    server.reply(seen, { after });
    expect(await (await asked).json()).toMatchObject({ result: { after } });
  });

  it("gets concurrent calls with different ids", async () => {
    const server = await TestServer.start("modern");
    const asked = Array.from({ length: 5 }, () => call());
    const ids = new Set<string | undefined>();
    for (let turn = 0; turn < 5; turn += 1) {
      const seen = await server.call();
      ids.add(seen.message.id);
      server.reply(seen);
    }
    for (const response of asked) await (await response).text();
    expect(ids.size).toBe(5);
    expect(server.handshakes).toEqual(["server/discover"]);
  });

  it("is asked for progress under the call's own id if its caller wants it, and otherwise not", async () => {
    const server = await TestServer.start("legacy");
    for (const progress of [true, false]) {
      const asked = call({ progress, params: { name: "slow", _meta: { progressToken: "the caller's own" } } });
      const seen = await server.call();
      expect(seen.message.params?._meta?.["progressToken"]).toBe(progress ? seen.message.id : undefined);
      server.reply(seen);
      await (await asked).text();
    }
  });

  it("has its answers returned unchanged: streams, errors, statuses", async () => {
    const server = await TestServer.start("legacy");
    const streamed = call();
    const first = await server.call();
    const body = `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"n":12345678901234567890}}\n\ndata: {"id":"${first.message.id}","result":{}}\n\n`;
    server.connector.respond(first.exchange, { headers: [["content-type", "text/event-stream"]] }, body);
    const stream = await streamed;
    expect(stream.headers.get("content-type")).toBe("text/event-stream");
    expect(await stream.text()).toBe(body);
    const failing = call();
    const second = await server.call();
    server.connector.respond(second.exchange, { status: 500 }, "it broke");
    const failed = await failing;
    expect([failed.status, await failed.text()]).toEqual([500, "it broke"]);
  });

  it("is reported if it does not answer the handshake, and asked again at the next call", async () => {
    const connector = await TestConnector.greeted();
    const asked = call();
    for (const method of ["server/discover", "initialize"]) {
      const seen = seenIn(await connector.request());
      expect(seen.message.method).toBe(method);
      connector.respond(seen.exchange, { status: 500 }, "boom");
    }
    const response = await asked;
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      error: { data: { code: "machine_failed", reason: expect.stringContaining("HTTP 500") } },
    });
    const again = call().catch(() => undefined);
    expect(seenIn(await connector.request()).message.method).toBe("server/discover");
    await connector.leave();
    await again;
  });

  it("makes a call fail as machine_offline without a link, and as link_lost when the link is lost", async () => {
    const offline = await call();
    expect(offline.headers.get("x-operator-error")).toBe("machine_offline");
    const server = await TestServer.start("legacy");
    const asked = call();
    await server.call();
    server.connector.socket.close(1001, "gone");
    expect((await asked).headers.get("x-operator-error")).toBe("link_lost");
  });
});

describe("a server's answer to the handshake", () => {
  const CALL: CallRequest = { method: "tools/list", params: {}, progress: false, timeoutMs: 0 };
  const LIMITS: HandshakeLimits = { ms: 200, bytes: 1_000 };

  /** Calls a server that begins every answer like this, and does not end it. */
  function callTo(type: string, chunk: string): Promise<Response> {
    const send = (): Promise<Response> => {
      const start = (controller: ReadableStreamDefaultController) =>
        controller.enqueue(new TextEncoder().encode(chunk));
      const body = new ReadableStream<Uint8Array>({ start });
      return Promise.resolve(new Response(body, { headers: { "content-type": type } }));
    };
    const forgetful = { get: () => undefined, put: () => undefined, delete: () => undefined };
    const client = new McpClient(forgetful, send, { next: 1 }, LIMITS);
    return client.call(CALL, new AbortController().signal);
  }

  it.each([
    ["JSON", "application/json", '{"jsonrpc":'],
    ["events", "text/event-stream", ": alive\n\n"],
  ])("fails the call when it does not end: %s", async (_, type, chunk) => {
    const called = callTo(type, chunk);
    await expect(called).rejects.toThrow("did not end its answer to the handshake within 0.2 s");
    await expect(called).rejects.toBeInstanceOf(HandshakeFailed);
  });

  it.each([
    ["JSON", "application/json", `{"jsonrpc":"${"x".repeat(1_000)}"`],
    ["events", "text/event-stream", `data: ${"x".repeat(1_000)}`],
  ])("fails the call when it is too large: %s", async (_, type, chunk) => {
    await expect(callTo(type, chunk)).rejects.toThrow("is larger than 1000 bytes");
  });
});
