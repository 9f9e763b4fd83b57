import { evictDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { type Frame, FrameKind } from "#protocol/frame.ts";
import type { HeaderList } from "#protocol/header.ts";
import {
  CHUNK_BYTES,
  HELLO_TIMEOUT_MS,
  MAX_EXCHANGES,
  MAX_HEAD_BYTES,
  PROTOCOL_VERSION,
  WINDOW_BYTES,
} from "#protocol/limits.ts";
import { Link, type LinkListener } from "../../../../machine-template/src/link/link.ts";
import { Sockets } from "../../../../machine-template/src/link/sockets.ts";
import { onOwnTimers } from "../../../support/own-timers.ts";
import { ask, dial, env, FACTS, forget, knock, TestConnector, within } from "../support/connector.ts";

afterEach(forget);

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

async function errorCodeOf(response: Response): Promise<string> {
  const body: { error: { data?: { code: string }; code: string } } = await response.json();
  return body.error.data?.code ?? body.error.code;
}

describe("a request to the script", () => {
  it("is refused if it opens a link with a wrong or missing token, in the words for an unknown machine", async () => {
    const wrong = await dial("other-token");
    expect(wrong.status).toBe(401);
    expect(await errorCodeOf(wrong)).toBe("unauthorized");
    const none = await ask("/link", { headers: { upgrade: "websocket" } });
    expect(none.status).toBe(401);
  });

  it("is refused if its caller is not the machine's owner, as for an unknown machine", async () => {
    await TestConnector.greeted();
    for (const headers of [{ "x-operator-caller": "u-bob" }, {}] as Record<string, string>[]) {
      for (const path of ["/mcp", "/operator/state", "/operator/events", "/operator/call", "/operator/log"]) {
        const refused = await knock(path, { headers });
        expect(refused.status).toBe(404);
        expect(await errorCodeOf(refused)).toBe("machine_unknown");
      }
    }
  });

  it("is answered with machine_offline and the time last seen while no connector is there", async () => {
    const response = await ask("/mcp", {
      method: "POST",
      body: JSON.stringify({ jsonrpc: "2.0", id: 7, method: "ping" }),
    });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      id: 7,
      error: { data: { code: "machine_offline", lastSeenMs: null, retryable: true } },
    });
  });
});

describe("an exchange", () => {
  it("crosses with its method, path, headers and body bytes unchanged, and so does its answer", async () => {
    const connector = await TestConnector.greeted();
    const body = '{"jsonrpc":"2.0",  "id":12345678901234567890,"method":"x"}';
    const asked = ask("/mcp?a=1", {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "mcp-session-id": "s1",
        "last-event-id": "e9",
        "x-new": "1",
        cookie: "c=1",
        "x-forwarded-for": "9.9.9.9",
      },
    });
    const request = await connector.request();
    expect(request.head).toMatchObject({ method: "POST", path: "/mcp?a=1" });
    const names = request.head.headers.map(([name]) => name);
    expect(names).toEqual(expect.arrayContaining(["content-type", "mcp-session-id", "last-event-id", "x-new"]));
    for (const kept of ["cookie", "x-forwarded-for", "x-operator-caller", "authorization", "host"])
      expect(names).not.toContain(kept);
    expect(new TextDecoder().decode(request.body)).toBe(body);
    expect(request.end).toBe(true);
    connector.respond(
      request.exchange,
      {
        status: 207,
        headers: [
          ["x-answer", "yes"],
          ["mcp-session-id", "s1"],
        ],
      },
      '{"n": 9007199254740993}',
    );
    const response = await asked;
    expect(response.status).toBe(207);
    expect(response.headers.get("x-answer")).toBe("yes");
    expect(await response.text()).toBe('{"n": 9007199254740993}');
  });

  it("streams its answer chunk by chunk as it arrives, and keeps a split character", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "GET" });
    const { exchange } = await connector.request();
    connector.respond(exchange, { headers: [["content-type", "text/event-stream"]] }, "", false);
    const response = await asked;
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const euro = encode("€");
    connector.send({ kind: FrameKind.BODY, exchange, end: false, body: euro.subarray(0, 1) });
    const first = await reader.read();
    expect(first.value).toEqual(euro.subarray(0, 1));
    connector.send({ kind: FrameKind.BODY, exchange, end: true, body: euro.subarray(1) });
    const second = await reader.read();
    expect(second.value).toEqual(euro.subarray(1));
    expect((await reader.read()).done).toBe(true);
  });

  it("sends a large body only as credit arrives", async () => {
    const connector = await TestConnector.greeted();
    const body = new Uint8Array(3 * WINDOW_BYTES).fill(7);
    const asked = ask("/mcp", { method: "POST", body });
    const { exchange } = await connector.request();
    const received = (): number =>
      connector.frames.reduce((sum, frame) => sum + (frame.kind === FrameKind.BODY ? frame.body.length : 0), 0);
    await connector.until(() => received() === WINDOW_BYTES);
    await ask("/operator/state"); // a round trip: anything more that was sent would be here by now
    expect(received()).toBe(WINDOW_BYTES);
    for (const windows of [2, 3]) {
      connector.send({ kind: FrameKind.WINDOW, exchange, credit: WINDOW_BYTES });
      await connector.until(() => received() === windows * WINDOW_BYTES);
    }
    await connector.until(() => connector.frames.some((frame) => frame.kind === FrameKind.BODY && frame.end));
    expect(received()).toBe(body.length);
    connector.respond(exchange, {}, "done");
    expect(await (await asked).text()).toBe("done");
  });

  it.each([1, WINDOW_BYTES, 0xffff_ffff])(
    "drops a link that returns %d bytes of credit for nothing",
    async (credit) => {
      const connector = await TestConnector.greeted();
      const asked = ask("/mcp", { method: "GET" });
      const { exchange } = await connector.request();
      connector.send({ kind: FrameKind.WINDOW, exchange, credit });
      expect((await connector.ended()).code).toBe(CloseCode.BAD_FRAME);
      expect((await asked).status).toBe(502);
    },
  );

  it("returns credit only as its caller reads, and a link that sends more is dropped", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "GET" });
    const { exchange } = await connector.request();
    connector.respond(exchange, {}, "", false);
    const response = await asked;
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (let sent = 0; sent < WINDOW_BYTES; sent += CHUNK_BYTES)
      connector.send({ kind: FrameKind.BODY, exchange, end: false, body: chunk });
    await ask("/operator/state");
    const granted = (): number =>
      connector.frames.reduce((sum, frame) => sum + (frame.kind === FrameKind.WINDOW ? frame.credit : 0), 0);
    expect(granted()).toBeLessThan(WINDOW_BYTES);
    for (let sent = 0; sent <= WINDOW_BYTES; sent += CHUNK_BYTES)
      connector.send({ kind: FrameKind.BODY, exchange, end: false, body: chunk });
    await connector.until(() => connector.closed !== null);
    expect(connector.closed?.code).toBe(CloseCode.BAD_FRAME);
    await expect(response.arrayBuffer()).rejects.toThrow();
  });

  it("is cancelled at the connector when its caller leaves", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "GET" });
    const { exchange } = await connector.request();
    connector.respond(exchange, {}, "first", false);
    const response = await asked;
    await response.body?.cancel();
    await connector.until(() =>
      connector.frames.some((frame) => frame.kind === FrameKind.CANCEL && frame.exchange === exchange),
    );
  });

  it("fails at once with the connector's reason when the connector cancels it", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "POST", body: '{"jsonrpc":"2.0","id":"a","method":"x"}' });
    const { exchange } = await connector.request();
    connector.send({ kind: FrameKind.CANCEL, exchange, reason: "the server crashed" });
    const response = await asked;
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      id: "a",
      error: { data: { code: "machine_failed", reason: "the server crashed" } },
    });
  });

  it("does not wait for a stalled neighbour", async () => {
    const connector = await TestConnector.greeted();
    const stalled = ask("/mcp", { method: "GET" });
    const first = await connector.request();
    connector.respond(first.exchange, {}, "", false);
    await stalled; // nobody reads its body
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (let sent = 0; sent < WINDOW_BYTES; sent += CHUNK_BYTES)
      connector.send({ kind: FrameKind.BODY, exchange: first.exchange, end: false, body: chunk });
    const quick = ask("/mcp", { method: "POST", body: "{}" });
    const second = await connector.request();
    connector.respond(second.exchange, {}, "quick");
    expect(await (await quick).text()).toBe("quick");
  });

  it("above the limit is refused with machine_busy, and the others continue", async () => {
    const connector = await TestConnector.greeted();
    const all = Array.from({ length: MAX_EXCHANGES }, () => ask("/mcp", { method: "POST", body: "{}" }));
    await connector.until(() => connector.frames.length === MAX_EXCHANGES);
    const refused = await ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    expect(refused.status).toBe(429);
    expect(await errorCodeOf(refused)).toBe("machine_busy");
    for (const frame of connector.frames) connector.respond(frame.exchange, {}, String(frame.exchange));
    const bodies = await Promise.all(all.map(async (one) => (await one).text()));
    expect(new Set(bodies).size).toBe(MAX_EXCHANGES);
  });
});

describe("listening streams of clients that left without notice", () => {
  afterEach(() => vi.useRealTimers());

  const EVENTS = { headers: [["content-type", "text/event-stream"]] } satisfies { headers: HeaderList };

  it("make room at the limit, the idlest first, unlike calls", async () => {
    const connector = await TestConnector.greeted();
    const call = ask("/mcp", { method: "POST", body: '{"id":0,"method":"x"}' });
    const { exchange: called } = await connector.request();
    const streams = Array.from({ length: MAX_EXCHANGES - 1 }, () => ask("/mcp"));
    await connector.until(() => connector.frames.length === MAX_EXCHANGES - 1);
    const listening = connector.frames.map(({ exchange }) => exchange);
    // Requests that are made at once may arrive in any order: the answer says which exchange it belongs to.
    for (const exchange of listening)
      connector.respond(exchange, { headers: [...EVENTS.headers, ["mcp-session-id", String(exchange)]] }, "", false);
    const answers = await Promise.all(streams);
    const readers = new Map(
      answers.map((answer) => [Number(answer.headers.get("mcp-session-id")), answer.body?.getReader()]),
    );
    const startMs = Date.now();
    const refused = await ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    expect(await errorCodeOf(refused)).toBe("machine_busy"); // all were heard of just now

    vi.useFakeTimers({ toFake: ["Date"], now: startMs + 20_000 });
    const [first = 0, ...others] = listening;
    const body = encode(": still here\n\n");
    for (const exchange of others) connector.send({ kind: FrameKind.BODY, exchange, end: false, body });
    await readers.get(others.at(-1) ?? 0)?.read(); // by then the script has them all
    vi.setSystemTime(startMs + 45_000);
    const next = ask("/mcp", { method: "POST", body: '{"id":2,"method":"x"}' });
    const isCancel = ({ kind }: Frame): boolean => kind === FrameKind.CANCEL;
    await connector.until(() => connector.frames.some(isCancel));
    expect(connector.frames.filter(isCancel).map((frame) => frame.exchange)).toEqual([first]);
    connector.frames.splice(0, connector.frames.findIndex(isCancel) + 1);
    const { exchange } = await connector.request();
    await expect(readers.get(first)?.read()).rejects.toThrow("made room");
    for (const one of [called, exchange]) connector.respond(one, {}, String(one));
    expect([await (await call).text(), await (await next).text()]).toEqual([String(called), String(exchange)]);
  });
});

describe("a machine's answer", () => {
  it("never carries credentials, Operator's headers or another hop's, whatever its connector lets through", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    const { exchange } = await connector.request();
    connector.respond(exchange, {
      headers: [
        ["Set-Cookie", "session=stolen; Domain=localhost"],
        ["x-operator-error", "machine_unknown"],
        ["access-control-allow-origin", "*"],
        ["transfer-encoding", "chunked"],
        ["www-authenticate", "Basic"],
        ["mcp-session-id", "s1"],
      ],
    });
    expect([...(await asked).headers]).toEqual([["mcp-session-id", "s1"]]);
  });

  it.each([204, 205, 304])("may have status %i, which has no body, even if its end arrives later", async (status) => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "DELETE" });
    const { exchange } = await connector.request();
    connector.respond(exchange, { status }, "", false);
    connector.send({ kind: FrameKind.BODY, exchange, end: true, body: new Uint8Array(0) });
    const response = await asked;
    expect(response.status).toBe(status);
    expect(await response.text()).toBe("");
    expect(await (await ask("/operator/state")).json()).toMatchObject({ online: true, exchanges: 0 });
  });

  it.each<[string, [string, string]]>([
    ["a header's name that HTTP does not allow", ["not a name", "x"]],
    ["a header's value that HTTP does not allow", ["x-broken", "a\nb"]],
  ])("with %s fails only that call, at once", async (_, header) => {
    const connector = await TestConnector.greeted();
    const broken = ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    const { exchange } = await connector.request();
    const neighbour = ask("/mcp", { method: "POST", body: "{}" });
    const other = await connector.request();
    connector.respond(exchange, { headers: [header] }, "", false);
    expect(await errorCodeOf(await broken)).toBe("machine_failed");
    await connector.until(() => connector.frames.some((frame) => frame.kind === FrameKind.CANCEL));
    connector.respond(other.exchange, {}, "fine");
    expect(await (await neighbour).text()).toBe("fine");
  });

  it("that starts twice ends the link", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    const { exchange } = await connector.request();
    connector.respond(exchange, {}, "", false);
    await asked;
    connector.respond(exchange, {}, "", false);
    await connector.until(() => connector.closed !== null);
    expect(connector.closed?.code).toBe(CloseCode.BAD_FRAME);
  });

  it("with a body before its head ends the link, and the call with it", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    const { exchange } = await connector.request();
    connector.send({ kind: FrameKind.BODY, exchange, end: false, body: new Uint8Array([1]) });
    expect(await errorCodeOf(await asked)).toBe("link_lost");
  });
});

describe("a request whose head is too large for the link", () => {
  it("is refused alone: the link stays, and so do other calls", async () => {
    const connector = await TestConnector.greeted();
    const neighbour = ask("/mcp", { method: "POST", body: "{}" });
    const { exchange } = await connector.request();
    const large = { "x-large": '"'.repeat(MAX_HEAD_BYTES / 2) };
    const refused = await ask("/mcp", { method: "POST", headers: large, body: '{"id":1,"method":"x"}' });
    expect(refused.status).toBe(400);
    expect(await errorCodeOf(refused)).toBe("invalid_request");
    connector.respond(exchange, {}, "fine");
    expect(await (await neighbour).text()).toBe("fine");
    expect(await (await ask("/operator/state")).json()).toMatchObject({ online: true, exchanges: 0 });
  });
});

describe("when the link is lost", () => {
  it("every call in flight gets a JSON-RPC error under its own id, and every open event stream a closing word", async () => {
    const connector = await TestConnector.greeted();
    const waiting = ask("/mcp", { method: "POST", body: '{"jsonrpc":"2.0","id":1,"method":"x"}' });
    await connector.request();
    const streaming = ask("/mcp", { method: "POST", body: '{"jsonrpc":"2.0","id":2,"method":"x"}' });
    const { exchange } = await connector.request();
    connector.respond(exchange, { headers: [["content-type", "text/event-stream"]] }, "data: half an ev", false);
    const stream = await streaming;
    connector.socket.close(1001, "going");
    const lost = await waiting;
    expect(lost.status).toBe(502);
    expect(await lost.json()).toMatchObject({ id: 1, error: { data: { code: "link_lost" } } });
    const words = (await stream.text()).split("\n").filter((line) => line.startsWith("data: {"));
    expect(JSON.parse(words.at(-1)?.slice("data: ".length) ?? "")).toMatchObject({
      id: 2,
      error: { data: { code: "link_lost" } },
    });
  });

  it("a newer connector takes over: the older one is told, its calls end, and its late frames change nothing", async () => {
    const older = await TestConnector.greeted("one");
    const waiting = ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    const { exchange } = await older.request();
    const newer = await TestConnector.greeted("two");
    expect(await errorCodeOf(await waiting)).toBe("link_lost");
    await older.until(() => older.closed !== null);
    expect(older.closed?.code).toBe(CloseCode.REPLACED);
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    const request = await newer.request();
    expect(request.exchange).not.toBe(exchange);
    newer.respond(request.exchange, {}, "from the newer");
    expect(await (await asked).text()).toBe("from the newer");
    expect(await (await ask("/operator/state")).json()).toMatchObject({ online: true, epoch: 2 });
  });

  it("a revoked machine's calls fail with machine_revoked and its connector is told", async () => {
    const connector = await TestConnector.greeted();
    const waiting = ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    await connector.request();
    await ask("/operator/close", {
      method: "POST",
      body: JSON.stringify({ code: CloseCode.REVOKED, reason: "removed" }),
    });
    expect(await errorCodeOf(await waiting)).toBe("machine_revoked");
    await connector.until(() => connector.closed !== null);
    expect(connector.closed).toMatchObject({ code: CloseCode.REVOKED, reason: "removed" });
  });
});

describe("a script that is being replaced", () => {
  afterEach(() => vi.useRealTimers());

  it("accepts no link until its successor runs, or a few seconds have passed without one", async () => {
    const connector = await TestConnector.greeted();
    const startMs = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: startMs });
    await ask("/operator/close", {
      method: "POST",
      body: JSON.stringify({ code: CloseCode.RESTARTING, reason: "a new script" }),
    });
    await connector.until(() => connector.closed !== null);
    expect(connector.closed?.code).toBe(CloseCode.RESTARTING);
    expect((await dial("link-token")).status).toBe(503);
    vi.setSystemTime(startMs + 5_000);
    await TestConnector.greeted();
  });
});

describe("an invalid frame", () => {
  it.each([
    ["garbage bytes", new Uint8Array([9, 9, 9, 9, 9, 9, 9]).buffer],
    ["garbage text", "not json"],
    ["a control frame out of turn", JSON.stringify({ type: "event-ack", seq: 1 })],
    ["a request from the connector", new Uint8Array([1, 1, 0, 0, 0, 1, 0, 0, 0, 2, 123, 125]).buffer],
    ["a second hello", JSON.stringify({ type: "hello", protocol: 1, stream: "s", facts: FACTS })],
  ])("closes the link that sends it: %s", async (_, garbage) => {
    const connector = await TestConnector.greeted();
    connector.socket.send(garbage);
    await connector.until(() => connector.closed !== null);
    expect(connector.closed?.code).toBe(CloseCode.BAD_FRAME);
    expect(await (await ask("/operator/state")).json()).toMatchObject({ online: false });
  });

  it("a connector of another protocol version is told to stop", async () => {
    const connector = await TestConnector.open();
    connector.say({ type: "hello", protocol: 999, stream: "s", facts: FACTS });
    await connector.until(() => connector.closed !== null);
    expect(connector.closed?.code).toBe(CloseCode.PROTOCOL_TOO_OLD);
    expect(await (await ask("/mcp", { method: "POST", body: "{}" })).json()).toMatchObject({
      error: { data: { code: "machine_offline" } }, // it is newer than the Operator, so nothing of it is too old
    });
  });

  it("an older connector is refused, and callers are told to update it until a current one connects", async () => {
    const connector = await TestConnector.open();
    connector.say({ type: "hello", protocol: 0, stream: "s", facts: FACTS });
    await connector.until(() => connector.closed !== null);
    expect(connector.closed?.code).toBe(CloseCode.PROTOCOL_TOO_OLD);
    await evictDurableObject(env.MACHINE.getByName("machine"));
    expect(await (await ask("/mcp", { method: "POST", body: "{}" })).json()).toMatchObject({
      error: { data: { code: "agent_too_old", reason: expect.stringContaining("version 0") } },
    });
    const updated = await TestConnector.greeted();
    await updated.leave();
    expect(await (await ask("/mcp", { method: "POST", body: "{}" })).json()).toMatchObject({
      error: { data: { code: "machine_offline" } },
    });
  });

  it("an answer to a cancelled exchange is ignored", async () => {
    const connector = await TestConnector.greeted();
    connector.respond(4711, {}, "late");
    expect(await (await ask("/operator/state")).json()).toMatchObject({ online: true });
  });
});

describe("hibernation", () => {
  it("keeps the link: an evicted object answers over the same WebSocket", async () => {
    const connector = await TestConnector.greeted();
    await evictDurableObject(env.MACHINE.getByName("machine"));
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    const request = await connector.request();
    connector.respond(request.exchange, {}, "awake");
    expect(await (await asked).text()).toBe("awake");
  });

  it("keeps the newest of several links: a connector that was replaced may never close its end", async () => {
    await TestConnector.open();
    await TestConnector.greeted();
    await TestConnector.open();
    await within((_, ctx) => {
      const epochs = ctx.getWebSockets().map((socket) => {
        const attached = socket.deserializeAttachment();
        const epoch = attached.epoch ?? 0;
        socket.serializeAttachment({ ...attached, epoch });
        return epoch;
      });
      expect(epochs.toSorted()).toEqual([0, 0, 1]);
      const woken = new Sockets(ctx);
      expect(woken.current === null ? null : woken.epochOf(woken.current)).toBe(1);
    });
  });

  it("answers heartbeats without waking the object", async () => {
    const connector = await TestConnector.open();
    connector.socket.send("ping");
    await connector.until(() => connector.pongs === 1);
  });
});

it("a socket whose hello cannot be stored is closed like one that says none", async () => {
  const closing = await within((_, ctx) =>
    onOwnTimers(async () => {
      const listener = {
        refusalOf: () => null,
        online: () => {
          throw new Error("disk full");
        },
      } as unknown as LinkListener; // what a hello asks of it
      const link = new Link(ctx, "attic", listener);
      const client = link.accept("hash").webSocket;
      client?.accept();
      const closed = new Promise<number>((resolve) => client?.addEventListener("close", ({ code }) => resolve(code)));
      const [socket] = ctx.getWebSockets("link");
      const hello = { type: "hello", protocol: PROTOCOL_VERSION, stream: "stream-1", facts: FACTS };
      expect(() => socket && link.message(socket, JSON.stringify(hello))).toThrow("disk full");
      vi.advanceTimersByTime(HELLO_TIMEOUT_MS);
      return closed;
    }),
  );
  expect(closing).toBe(CloseCode.SILENT);
});
