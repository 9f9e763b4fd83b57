import { EventEmitter, once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { CloseCode } from "#protocol/close-code.ts";
import { encodeFrame, FrameKind } from "#protocol/frame.ts";
import { MAX_EXCHANGES, MAX_SEQUENCE, WINDOW_BYTES } from "#protocol/limits.ts";
import { EventSpool } from "../../../scripts/connector/event-spool.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { connect, connectHttp, type Connected } from "../../scripts/connector/support/connected.ts";
import { ManualClock } from "../../scripts/connector/support/manual-clock.ts";
import { temporaryFolder } from "../../scripts/connector/support/temporary-folder.ts";

/**
 * An Operator that was taken over, or a script with a bug, can say anything over the link. The connector answers with an error or
 * ends that link. It never reaches for anything but its own server's MCP endpoint, never stops permanently without a reason, and
 * holds no more than its limits.
 */

type Reached = { method: string; url: string; headers: string[] };

/** A connector whose server remembers what reached it. */
async function connected(more: Parameters<typeof connectHttp>[1] = {}): Promise<Connected & { reached: Reached[] }> {
  const reached: Reached[] = [];
  const made = await connectHttp(({ method = "", url = "", headers }, response) => {
    reached.push({ method, url, headers: Object.keys(headers) });
    response.end("{}");
  }, more);
  return { ...made, reached, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
}

/** The same, which dials another hub from its second dial on. */
async function redirected({ port }: AddressInfo): Promise<Awaited<ReturnType<typeof connected>>> {
  let to: string | null = null;
  const made = await connected({
    credentialsAt: (linkUrl) => Promise.resolve({ linkUrl: to ?? linkUrl, token: "right-token" }),
  });
  to = `ws://127.0.0.1:${port}/m/attic/link`;
  made.link.socket.terminate();
  return made;
}

/** A server that takes what it gets as bytes, answers whatever comes, and never closes a connection by itself. */
async function rawServer(): Promise<
  AsyncDisposable & { readonly url: URL; readonly received: string; readonly open: number }
> {
  const seen = { received: "", open: 0 };
  const server = createServer((socket) => {
    seen.open += 1;
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"));
    socket.on("data", (data) => (seen.received += data.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => (seen.open -= 1));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`),
    get received() {
      return seen.received;
    },
    get open() {
      return seen.open;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

describe("requests of a hostile hub", () => {
  it.each([
    "/",
    "/mcp/",
    "/mcp/..",
    "/MCP",
    "//mcp",
    "/mcp%2f",
    "http://169.254.169.254/mcp",
    "//evil.test/mcp",
    "/../mcp",
    "*",
    "mcp",
    "",
    "/mcp#x",
    "/mcp\r\nhost: evil",
    "/mcp\u0000",
    "/local/permissions",
    "/mcp;x",
    "/mcp/../local/permissions",
  ])("for the path %j reach only /mcp", async (path) => {
    await using made = await connected();
    const exchange = made.link.open({ path }, "{}");
    for await (const frame of made.link.framesOf(exchange))
      if (frame.kind === FrameKind.CANCEL || frame.kind === FrameKind.RESPONSE) break;
    for (const { url } of made.reached) expect(url.split("?")[0]).toBe("/mcp");
    expect(made.link.socket.readyState).toBe(made.link.socket.OPEN);
  });

  it.each([
    "CONNECT",
    "TRACE",
    "GET /x HTTP/1.1\r\n",
    "",
    "POST ",
    "\u0000",
    "x".repeat(10_000),
    "PROPFIND",
    "HEAD",
    "OPTIONS",
  ])("with the method %.20j are answered or refused, and the link stays", async (method) => {
    await using made = await connected();
    const exchange = made.link.open({ method }, "");
    for await (const frame of made.link.framesOf(exchange)) if (frame.kind !== FrameKind.WINDOW) break;
    expect((await made.link.call({}, "{}")).status).toBe(200);
  });

  it.each<[string, [string, string][]]>([
    [
      "credentials",
      [
        ["authorization", "Bearer stolen"],
        ["cookie", "a=b"],
        ["proxy-authorization", "x"],
      ],
    ],
    [
      "another host",
      [
        ["host", "evil.test"],
        ["x-forwarded-host", "evil.test"],
        ["origin", "https://evil.test"],
      ],
    ],
    [
      "hop-by-hop headers",
      [
        ["connection", "upgrade"],
        ["upgrade", "websocket"],
        ["transfer-encoding", "chunked"],
        ["content-length", "999"],
        ["expect", "100-continue"],
      ],
    ],
    [
      "Operator's own headers",
      [
        ["x-operator-caller", "owner"],
        ["x-operator-secret", "x"],
      ],
    ],
  ])("with %s do not forward those", async (_, headers) => {
    await using made = await connected();
    await made.link.call({ headers }, "{}");
    const [request] = made.reached;
    const own = ["host", "connection", "content-length"];
    expect(request?.headers.filter((name) => headers.some(([given]) => given === name) && !own.includes(name))).toEqual(
      [],
    );
  });

  it("give the request no other length, framing or host, however they spell a header's name", async () => {
    await using server = await rawServer();
    await using made = await connect(new HttpTarget(server.url, "attic", "Start it."));
    const headers: [string, string][] = [
      ["Host", "evil.test"],
      ["Content-Length", "0"],
      ["Transfer-Encoding", "chunked"],
      ["Connection", "upgrade"],
      ["UPGRADE", "websocket"],
      ["Expect", "100-continue"],
      ["Authorization", "Bearer stolen"],
      ["COOKIE", "a=b"],
      ["X-Operator-Caller", "owner"],
      ["Mcp-Session-Id", "1"],
    ];
    await made.link.call({ headers }, "POST /local/permissions HTTP/1.1\r\n\r\n");
    const [, ...lines] = server.received.split("\r\n\r\n")[0]?.split("\r\n") ?? [];
    expect(lines.map((line) => line.toLowerCase())).toEqual([
      `host: ${server.url.host}`,
      "mcp-session-id: 1",
      "accept-encoding: identity",
      "content-length: 36",
      "connection: keep-alive",
    ]);
  });

  it.each<[string, [string, string][]]>([
    ["a line break", [["x-a", "b\r\nx-injected: yes"]]],
    ["an invalid name", [["x a", "b"]]],
    ["an empty name", [["", "b"]]],
    ["a character beyond latin1", [["x-a", "\u{1F600}"]]],
  ])("with %s in a header are refused, and nothing is injected", async (_, headers) => {
    await using made = await connected();
    const exchange = made.link.open({ headers }, "{}");
    for await (const frame of made.link.framesOf(exchange)) if (frame.kind !== FrameKind.WINDOW) break;
    for (const { headers: names } of made.reached) expect(names).not.toContain("x-injected");
    expect((await made.link.call({}, "{}")).status).toBe(200);
  });

  it("beyond the limit of calls at once are cancelled", async () => {
    let open = 0;
    await using made = await connectHttp(() => void (open += 1));
    for (let count = 0; count < MAX_EXCHANGES + 50; count += 1) made.link.open({}, "{}");
    await made.link.until(() => made.link.frames.filter(({ kind }) => kind === FrameKind.CANCEL).length >= 50);
    expect(open).toBeLessThanOrEqual(MAX_EXCHANGES);
  });

  it("whose bodies never end leave no connection behind once they are answered", async () => {
    await using server = await rawServer();
    await using made = await connect(new HttpTarget(server.url, "attic", "Start it."));
    for (let count = 0; count < 10; count += 1)
      expect((await made.link.answerOf(made.link.open({}, "begun", false))).status).toBe(200);
    await expect.poll(() => server.open).toBe(0);
  });

  it.each([1, WINDOW_BYTES, 0xffff_ffff])("that return %d bytes of credit for nothing end the link", async (credit) => {
    await using made = await connectHttp(() => undefined);
    const exchange = made.link.open({}, "{}");
    made.link.send({ kind: FrameKind.WINDOW, exchange, credit });
    expect((await made.link.closed).code).toBe(CloseCode.BAD_FRAME);
  });

  it("whose answers it does not read end the link before they fill the memory", async () => {
    const answer = Buffer.alloc(WINDOW_BYTES - 1024, "x");
    const wake = new EventEmitter();
    await using made = await connectHttp((_, response) => void response.end(answer, () => wake.emit("answered")));
    made.link.socket.pause();
    const next = made.script.link().then(() => "ended" as const);
    let how: unknown;
    for (let asked = 0; asked < 1_000 && how !== "ended"; asked += 1) {
      const answered = once(wake, "answered");
      made.link.open({}, "{}");
      how = await Promise.race([next, answered]);
    }
    expect(how).toBe("ended");
  });

  it("and pings, whose answers it does not read, end the link as well", async () => {
    await using made = await connected({ clock: new ManualClock() }); // without heartbeats
    await made.link.call({}, "{}"); // what it says at first is sent
    const unread = vi.spyOn(WebSocket.prototype, "bufferedAmount", "get").mockReturnValueOnce(2 ** 30);
    onTestFinished(() => unread.mockRestore());
    made.link.socket.ping();
    await made.link.closed;
  });

  it("with a larger body than the window allows end the link", async () => {
    await using made = await connectHttp((request) => void request.pause());
    const exchange = made.link.open({}, "", false);
    // In one frame: of many, each might be passed on to the server before the next comes.
    made.link.send({ kind: FrameKind.BODY, exchange, end: false, body: Buffer.alloc(WINDOW_BYTES + 1) });
    expect((await made.link.closed).code).toBe(CloseCode.BAD_FRAME);
  });
});

describe("frames of a hostile hub", () => {
  it.each([
    { type: "welcome", protocol: 1, epoch: 1, acked: 9_007_199_254_740_991 },
    { type: "welcome", protocol: 1, epoch: 1, acked: 0 },
    { type: "event-ack", seq: 9_007_199_254_740_991 },
    { type: "event-ack", seq: -1 },
    { type: "event-ack", seq: "1" },
    { type: "challenge", nonce: "x" },
    { type: "token", token: "x" },
    { type: "goodbye" },
    { type: "run", command: "id" },
    [],
    null,
    "text",
  ])("%j at most ends the link, and the connector dials again", async (word) => {
    await using made = await connected();
    made.link.say(word);
    await made.link.closed;
    const next = await made.script.link();
    expect((await next.call({}, "{}")).status).toBe(200);
  });

  it("that acknowledge events which were not sent end the link, and lose none", async () => {
    using folder = temporaryFolder();
    const spool = new EventSpool(join(folder.path, "a.events"));
    const append = (data: number) => spool.append([{ atMs: 1, type: "t", session: null, data }]);
    await using made = await connected({ spool });
    made.link.acknowledges = false;
    append(1);
    made.connector.sendEvents();
    await made.link.until(() => made.link.events.length === 1);
    append(2);
    made.link.say({ type: "event-ack", seq: 2 });
    expect((await made.link.closed).code).toBe(CloseCode.BAD_FRAME);
    const next = await made.script.link();
    await next.until(() => next.events.length === 1);
    expect(next.events[0]?.events.map(({ data }) => data)).toEqual([1, 2]);
  });

  it.each([
    [MAX_SEQUENCE, 1],
    [MAX_SEQUENCE / 2, MAX_SEQUENCE / 2 + 1],
  ])("that claim to have the event %d leave numbers for those that follow", async (ackedAtFirst, first) => {
    using folder = temporaryFolder();
    const spool = new EventSpool(join(folder.path, "a.events"));
    await using made = await connected({ spool, ackedAtFirst });
    await made.link.call({}, "{}"); // it has been welcomed
    spool.append([{ atMs: 1, type: "t", session: null, data: 1 }]);
    made.script.acked = 0;
    made.link.socket.terminate();
    const next = await made.script.link();
    await next.until(() => next.events.length === 1);
    expect(next.events[0]).toMatchObject({ first, events: [{ data: 1 }] });
  });

  it("with an invalid new name write no file, and the connector dials again", async () => {
    const renamed: string[] = [];
    await using made = await connected({ renamed: (name) => Promise.resolve(void renamed.push(name)) });
    let link = made.link;
    for (const name of ["../../../etc/passwd", "", "a".repeat(100), "UPPER", "api", "\u001b[2J", "a--b"]) {
      link.socket.close(CloseCode.RENAMED, name);
      link = await made.script.link();
    }
    expect(renamed).toEqual([]);
    expect((await link.call({}, "{}")).status).toBe(200);
  });

  it("that ask for a call before the welcome end the link, and reach nothing", async () => {
    const hub = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(hub, "listening");
    await using made = await redirected(hub.address() as AddressInfo);
    const head = { method: "POST", path: "/mcp", headers: [] };
    const asked = encodeFrame({ kind: FrameKind.REQUEST, exchange: 1, end: true, head, body: Buffer.from("{}") });
    const [socket] = (await once(hub, "connection")) as [WebSocket];
    socket.send(asked);
    const [code] = (await once(socket, "close")) as [number];
    expect([code, made.reached]).toEqual([CloseCode.BAD_FRAME, []]);
    hub.close();
  });

  it("that answer a dial with a redirect are not followed with the token", async () => {
    const dialled: string[] = [];
    const hub = createHttpServer().on("upgrade", ({ url = "" }, socket) => {
      dialled.push(url);
      socket.end("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    });
    hub.listen(0, "127.0.0.1");
    await once(hub, "listening");
    await using _made = await redirected(hub.address() as AddressInfo);
    await expect.poll(() => dialled.length).toBeGreaterThan(1);
    expect(new Set(dialled)).toEqual(new Set(["/m/attic/link"]));
    hub.close();
  });

  it("at most end the link, before or after the welcome", async () => {
    await using made = await connected();
    let link = made.link;
    const head = fc.oneof(
      fc.jsonValue(),
      fc.record({
        method: fc.string(),
        path: fc.string(),
        headers: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 3 }),
      }),
    );
    const frame = fc
      .tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 2 }), fc.nat(5), fc.nat(200), head)
      .map(([kind, flags, exchange, length, value]) => {
        const json = Buffer.from(JSON.stringify(value) ?? "");
        const bytes = Buffer.alloc(10 + json.length);
        bytes[0] = kind;
        bytes[1] = flags;
        bytes.writeUInt32BE(exchange, 2);
        bytes.writeUInt32BE(length > 150 ? json.length : length, 6);
        json.copy(bytes, 10);
        return bytes;
      });
    const word = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({
          type: fc.constantFrom("welcome", "event-ack", "token", "challenge", "goodbye"),
          acked: fc.jsonValue(),
          seq: fc.jsonValue(),
          token: fc.jsonValue(),
          nonce: fc.jsonValue(),
          epoch: fc.nat(),
          protocol: fc.nat(),
        })
        .map((value) => JSON.stringify(value)),
    );
    const message = fc.oneof(
      word,
      frame,
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    );
    let ended = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 4 }), async (messages) => {
        for (const one of messages) link.socket.send(one, { binary: typeof one !== "string" });
        const exchange = 4_000_000;
        link.send({
          kind: FrameKind.REQUEST,
          exchange,
          end: true,
          head: { method: "POST", path: "/mcp", headers: [] },
          body: Buffer.from("{}"),
        });
        const isAlive = await Promise.race([
          link.closed.then(() => false),
          link
            .until(() => link.frames.some((seen) => seen.exchange === exchange && seen.kind === FrameKind.RESPONSE))
            .then(
              () => true,
              () => false,
            ),
        ]);
        if (!isAlive) ended += 1;
        link.socket.terminate();
        link = await made.script.link();
      }),
      { numRuns: 300 },
    );
    expect(ended).toBeGreaterThan(0);
    for (const { url } of made.reached) expect(url.split("?")[0]).toBe("/mcp");
    expect((await link.call({}, "{}")).status).toBe(200);
  }, 120_000);

  it("larger than the limit end the link and not the process", async () => {
    await using made = await connected();
    made.link.socket.send(Buffer.alloc(2 * 1024 * 1024));
    await made.link.closed;
    expect((await (await made.script.link()).call({}, "{}")).status).toBe(200);
    expect(encodeFrame({ kind: FrameKind.CANCEL, exchange: 1, reason: "" }).length).toBe(6);
  });
});
