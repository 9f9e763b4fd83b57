import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { FrameKind } from "#protocol/frame.ts";
import { CHUNK_BYTES, WINDOW_BYTES } from "#protocol/limits.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { MAY_HAVE_RUN } from "./support/may-have-run.ts";
import { connect, connectHttp } from "./support/connected.ts";
import { bodyOf, HttpServer } from "./support/http-server.ts";

/** JSON that any parser would write differently: an integer beyond 2^53, blanks, an escaped letter, keys twice. */
const FRAGILE = '{ "jsonrpc":"2.0",  "id" : 9007199254740993,\t"result":{"a":1.0,"a":"\\u0061","é":"日本"} }\n';

describe("bytes", () => {
  it("arrive unchanged in both directions, in one frame each", async () => {
    await using connected = await connectHttp(async (request, response) => {
      const body = await bodyOf(request);
      response.setHeader("content-length", body.length);
      response.end(body);
    });
    const answer = await connected.link.call({}, FRAGILE);
    expect(answer).toMatchObject({ status: 200, text: FRAGILE, frames: 1 });
  });

  it("come in one frame when an answer without a length ends at once", async () => {
    await using connected = await connectHttp((_, response) => {
      response.setHeader("content-type", "text/event-stream");
      response.end(`event: message\ndata: ${FRAGILE.trim()}\n\n`);
    });
    expect(await connected.link.call()).toMatchObject({
      text: `event: message\ndata: ${FRAGILE.trim()}\n\n`,
      frames: 1,
    });
  });

  it("survive a chunk border inside a character", async () => {
    const text = `${"x".repeat(CHUNK_BYTES - 1)}日本語`;
    await using connected = await connectHttp(async (_, response) => {
      const bytes = Buffer.from(text);
      response.write(bytes.subarray(0, CHUNK_BYTES));
      await new Promise((resolve) => setImmediate(resolve));
      response.end(bytes.subarray(CHUNK_BYTES));
    });
    expect((await connected.link.call()).text).toBe(text);
  });

  it("may be 5 MB of arguments and a result of 5 MB", async () => {
    const argument = randomBytes(5 * 1024 * 1024);
    await using connected = await connectHttp(async (request, response) => {
      response.end(await bodyOf(request));
    });
    const { link } = connected;
    const exchange = link.open({}, argument.subarray(0, CHUNK_BYTES), false);
    const answered = link.answerOf(exchange);
    let credit = WINDOW_BYTES - CHUNK_BYTES;
    let windows = 0;
    for (let at = CHUNK_BYTES; at < argument.length;) {
      const grants = link.frames.filter((frame) => frame.kind === FrameKind.WINDOW);
      for (const grant of grants.slice(windows)) credit += grant.kind === FrameKind.WINDOW ? grant.credit : 0;
      windows = grants.length;
      const body = argument.subarray(at, at + Math.min(credit, CHUNK_BYTES));
      if (body.length === 0) {
        await link.until(() => link.frames.filter((frame) => frame.kind === FrameKind.WINDOW).length > windows);
        continue;
      }
      at += body.length;
      credit -= body.length;
      link.send({ kind: FrameKind.BODY, exchange, end: at === argument.length, body });
    }
    expect((await answered).body.equals(argument)).toBe(true);
  });
});

describe("a stream", () => {
  it("sends its head before its body, and each event when it arrives", async () => {
    const held: ServerResponse[] = [];
    await using connected = await connectHttp((_, response) => {
      response.setHeader("content-type", "text/event-stream");
      response.flushHeaders();
      held.push(response);
    });
    const { link } = connected;
    const exchange = link.open({ method: "GET" });
    const frames = link.framesOf(exchange);
    expect((await frames.next()).value).toMatchObject({ kind: FrameKind.RESPONSE, end: false, head: { status: 200 } });
    for (const event of ["data: 1\n\n", "data: 2\n\n"]) {
      held[0]?.write(event);
      const { value } = await frames.next();
      expect(value).toMatchObject({ kind: FrameKind.BODY, end: false, body: Buffer.from(event) });
    }
    held[0]?.end();
    expect((await frames.next()).value).toMatchObject({ kind: FrameKind.BODY, end: true });
  });

  it.each([
    ["between two events", "data: 1\n\n", "data: 1\n\n: keep-alive\n\ndata: 2\n\n"],
    ["not in the middle of one", "data: 1\n", "data: 1\ndata: 2\n\n"],
  ])("that is silent gets a comment, so that nobody on the way takes it for dead: %s", async (_, first, expected) => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    let stream: ServerResponse | null = null;
    await using connected = await connectHttp((_request, response) => {
      stream = response.setHeader("content-type", "text/event-stream");
      stream.write(first);
    });
    let text = "";
    for await (const frame of connected.link.framesOf(connected.link.open({}))) {
      const before = text;
      if ("body" in frame) text += Buffer.from(frame.body).toString();
      if ("end" in frame && frame.end) break;
      if (before !== "" || text === "") continue;
      vi.advanceTimersByTime(50_000);
      (stream as ServerResponse | null)?.end("data: 2\n\n");
    }
    expect(text).toBe(expected);
  });

  it("of 100 MB passes at its reader's pace, and no part on the way buffers more than it can forward", async () => {
    const block = Buffer.alloc(1024 * 1024, "x");
    const written = { bytes: 0 };
    await using connected = await connectHttp(async (_, response) => {
      for (let count = 0; count < 100; count += 1) {
        written.bytes += block.length;
        if (!response.write(block)) await once(response, "drain");
      }
      response.end();
    });
    const { link } = connected;
    const exchange = link.open();
    await link.until(() => bodyBytes(link.frames, exchange) === WINDOW_BYTES);
    // Nobody reads, so the window, some buffers and the kernel's sockets hold the bytes in flight.
    await settled(() => written.bytes);
    expect(written.bytes).toBeLessThan(30 * block.length);
    expect(bodyBytes(link.frames, exchange)).toBe(WINDOW_BYTES);

    // Other calls are not held up by it.
    expect((await link.call({ path: "/nowhere" })).status).toBe(404);

    const hash = createHash("sha256");
    let bytes = 0;
    let most = 0;
    for (let seen = 0, ended = false; !ended; seen += 1) {
      await link.until(() => link.frames.length > seen);
      const frame = link.frames[seen];
      if (frame === undefined || frame.exchange !== exchange || !("body" in frame)) continue;
      hash.update(frame.body);
      bytes += frame.body.length;
      ended = frame.end;
      most = Math.max(most, written.bytes - bytes);
      link.frames[seen] = { ...frame, body: new Uint8Array(0) };
      link.send({ kind: FrameKind.WINDOW, exchange, credit: frame.body.length });
    }
    expect(bytes).toBe(100 * block.length);
    const expected = createHash("sha256");
    for (let count = 0; count < 100; count += 1) expected.update(block);
    expect(hash.digest("hex")).toBe(expected.digest("hex"));
    // At most the contents of the kernel's sockets.
    expect(most).toBeLessThan(30 * block.length);
  });
});

describe("headers", () => {
  it("of MCP pass in both directions, unlike credentials, cookies and hop-by-hop headers", async () => {
    await using connected = await connectHttp((_, response) => {
      response.writeHead(200, {
        "Mcp-Session-Id": "s1",
        "X-New": "yes",
        "Set-Cookie": "a=b",
        Connection: "close, X-Hop",
        "X-Hop": "1",
        "X-Operator-Caller": "me",
        Server: "s",
      });
      response.end("{}");
    });
    const sent: [string, string][] = [
      ["mcp-session-id", "s1"], ["mcp-protocol-version", "2026-07-28"], ["mcp-method", "tools/call"], ["mcp-name", "echo"],
      ["mcp-param-city", "Paris"], ["last-event-id", "7"], ["traceparent", "00-1"], ["accept", "a, b"], ["content-type", "application/json"],
      ["authorization", "Bearer secret"], ["cookie", "a=b"], ["x-operator-caller", "me"], ["x-operator-secret", "s"], ["origin", "https://evil.example"],
      ["host", "attic.operator.example.com"], ["x-forwarded-for", "1.2.3.4"], ["accept-encoding", "gzip"], ["transfer-encoding", "chunked"],
    ]; // prettier-ignore
    const answer = await connected.link.call({ headers: sent }, "{}");
    expect(connected.server.requests[0]?.headers).toEqual({
      "mcp-session-id": "s1",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": "echo",
      "mcp-param-city": "Paris",
      "last-event-id": "7",
      traceparent: "00-1",
      accept: "a, b",
      "content-type": "application/json",
      host: connected.server.url.host,
      "accept-encoding": "identity",
      "content-length": "2",
      connection: "keep-alive",
    });
    expect([...answer.headers.keys()].sort()).toEqual(["mcp-session-id", "server", "x-new"]);
  });

  it("that HTTP cannot carry are refused, and the link stays", async () => {
    await using connected = await connectHttp((_, response) => void response.end("{}"));
    const answer = await connected.link.call(
      { headers: [["x-bad", "a\r\nx-operator-caller: me"]] },
      '{"id":1,"method":"m"}',
    );
    expect(answer.status).toBe(400);
    expect(connected.server.requests).toHaveLength(0);
    expect((await connected.link.call()).status).toBe(200);
  });
});

describe("paths", () => {
  it("other than the endpoint's are refused", async () => {
    await using connected = await connectHttp((_, response) => void response.end("reached"));
    for (const path of [
      "/",
      "/mcp/",
      "/mcp/../admin",
      "/MCP",
      "//mcp",
      "/mcp%2f",
      "/%6dcp",
      "/link",
      "http://169.254.169.254/mcp",
    ])
      expect((await connected.link.call({ path })).status, path).toBe(404);
    expect(connected.server.requests).toHaveLength(0);
  });

  it("keep their query, in addition to the target's own", async () => {
    await using server = await HttpServer.start((request, response) => void response.end(request.url));
    const target = new HttpTarget(new URL("/other?key=1", server.url), "attic", "");
    await using connected = await connect(target);
    expect((await connected.link.call({ path: "/mcp?a=b%20c" })).text).toBe("/other?key=1&a=b%20c");
    expect((await connected.link.call({ path: "/mcp" })).text).toBe("/other?key=1");
  });
});

describe("the server's answer is not changed", () => {
  it.each([404, 400, 202, 204, 405, 500])("status %i", async (status) => {
    await using connected = await connectHttp((_, response) => {
      response.statusCode = status;
      response.end(status === 204 ? undefined : '{"error":"Session not found"}');
    });
    const answer = await connected.link.call({ method: "POST" }, "{}");
    expect(answer.status).toBe(status);
    expect(answer.text).toBe(status === 204 ? "" : '{"error":"Session not found"}');
  });

  it.each(["GET", "DELETE", "HEAD", "OPTIONS"])("method %s", async (method) => {
    await using connected = await connectHttp((request, response) => {
      response.setHeader("x-method", request.method ?? "");
      response.end();
    });
    expect((await connected.link.call({ method })).headers.get("x-method")).toBe(method);
  });

  it("except 103 Early Hints, which is not an answer yet", async () => {
    await using connected = await connectHttp((_, response) => {
      response.writeEarlyHints({ link: "</a>; rel=preload" });
      response.end("real");
    });
    expect(await connected.link.call()).toMatchObject({ status: 200, text: "real" });
  });
});

describe("a target that fails", () => {
  it("by not running gets an immediate error in its place, under the request's id, that says what to start", async () => {
    const server = await HttpServer.start(() => undefined);
    const { url } = server;
    await server[Symbol.asyncDispose]();
    await using connected = await connect(new HttpTarget(url, "attic", "Start it with: x"));
    const answer = await connected.link.call({}, '{"jsonrpc":"2.0","id":"q","method":"ping"}');
    expect(answer.status).toBe(502);
    expect(answer.text).toContain("Start it with: x");
    expect(JSON.parse(answer.text)).toMatchObject({
      id: "q",
      error: {
        message: expect.not.stringContaining("may have been carried out"),
        data: { code: "machine_failed", machine: "attic" },
      },
    });
  });

  it("by dying before its answer gets an error in its place, and its call is not repeated", async () => {
    await using connected = await connectHttp((request) => void request.socket.destroy());
    const answer = await connected.link.call({}, '{"jsonrpc":"2.0","id":1,"method":"ping"}');
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text).error.message).toContain(MAY_HAVE_RUN);
    expect(connected.server.requests).toHaveLength(1);
  });

  it("by closing a kept connection during a call does not get that call again", async () => {
    await using connected = await connectHttp((request, response) => {
      if (connected.server.requests.length > 1) request.socket.destroy();
      else response.end("{}");
    });
    await connected.link.call({}, "{}");
    const answer = await connected.link.call({}, "{}");
    expect(answer.status).toBe(502);
    expect(answer.text).toContain(MAY_HAVE_RUN);
    expect(connected.server.requests).toHaveLength(2);
  });

  it("by dying in the middle of a short answer gets a complete error in its place", async () => {
    await using connected = await connectHttp(async (_, response) => {
      response.setHeader("content-length", 100);
      response.write("half");
      await new Promise((resolve) => setImmediate(resolve));
      response.destroy();
    });
    const answer = await connected.link.call({}, '{"jsonrpc":"2.0","id":3,"method":"ping"}');
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({ id: 3, error: { message: expect.stringContaining(MAY_HAVE_RUN) } });
  });

  it("by dying in the middle of JSON without a length gets a complete error in its place", async () => {
    await using connected = await connectHttp(async (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write('{"jsonrpc":');
      await new Promise((resolve) => setImmediate(resolve));
      response.destroy();
    });
    const answer = await connected.link.call({}, '{"jsonrpc":"2.0","id":3,"method":"ping"}');
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({ id: 3, error: { message: expect.stringContaining(MAY_HAVE_RUN) } });
  });

  it.each([
    ["short", 10, undefined],
    ["of more than a frame", CHUNK_BYTES + 1, CHUNK_BYTES + 3],
  ])("that sends JSON without a length, %s, has its length announced", async (_, characters, length) => {
    const json = JSON.stringify("x".repeat(characters));
    await using connected = await connectHttp(async (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write(json.slice(0, 5));
      await new Promise((resolve) => setImmediate(resolve));
      response.end(json.slice(5));
    });
    const { link } = connected;
    const answer = await link.call({}, "{}");
    expect(answer.text).toBe(json);
    const [first] = link.frames;
    expect(first?.kind === FrameKind.RESPONSE && [first.end, first.head.length]).toEqual([
      length === undefined,
      length,
    ]);
  });

  it("that sends JSON slowly, or much of it, has it passed on as it comes", async () => {
    const much = "x".repeat(2 * WINDOW_BYTES);
    const held: ServerResponse[] = [];
    await using connected = await connectHttp((_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write(held.length === 0 ? " " : `"${much}`);
      held.push(response);
    });
    const { link } = connected;
    const slow = link.open({}, "{}");
    await link.until(() => bodyBytes(link.frames, slow) === 1);
    held[0]?.end("{}");
    expect((await link.answerOf(slow)).text).toBe(" {}");
    const large = link.open({}, "{}");
    await link.until(() => bodyBytes(link.frames, large) > 0);
    held[1]?.end('"');
    expect((await link.answerOf(large)).text).toBe(`"${much}"`);
  });

  it("by dying in the middle of a call's event stream gets an error on the stream, for each waiting request", async () => {
    const held: ServerResponse[] = [];
    await using connected = await connectHttp((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: half an ev");
      held.push(response);
    });
    const { link } = connected;
    const batch = '[{"jsonrpc":"2.0","id":"a","method":"x"},{"jsonrpc":"2.0","id":2,"method":"y"}]';
    const exchange = link.open({}, batch);
    await link.until(() => link.frames.length > 0);
    held[0]?.destroy();
    const { text } = await link.answerOf(exchange);
    const words = text.split("\n").flatMap((line) => (line.startsWith("data: {") ? [JSON.parse(line.slice(6))] : []));
    expect(words.map(({ id }) => id)).toEqual(["a", 2]);
    for (const { error } of words) expect(error.message).toContain(MAY_HAVE_RUN);
  });

  it("by dying in the middle of another stream breaks off the stream, with the reason", async () => {
    const held: ServerResponse[] = [];
    await using connected = await connectHttp((_, response) => {
      response.write("data: 1\n\n");
      held.push(response);
    });
    const { link } = connected;
    const exchange = link.open();
    await link.until(() => link.frames.length > 0);
    held[0]?.destroy();
    await expect(link.answerOf(exchange)).rejects.toThrow("broke off");
  });

  it("by an invalid status gets an error in its place", async () => {
    await using connected = await connectHttp(
      (request) => void request.socket.end("HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n"),
    );
    expect((await connected.link.call()).status).toBe(502);
  });
});

function bodyBytes(frames: readonly { exchange: number; body?: Uint8Array; kind: number }[], exchange: number): number {
  return frames.reduce((sum, frame) => (frame.exchange === exchange ? sum + (frame.body?.length ?? 0) : sum), 0);
}

/** Waits until a number has stopped rising: the same over many turns of the event loop. */
async function settled(value: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 200;) {
    same = value() === last ? same + 1 : 0;
    last = value();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
