import { describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { FrameKind } from "#protocol/frame.ts";
import {
  CHUNK_BYTES,
  HEARTBEAT_MS,
  HELLO_TIMEOUT_MS,
  LINK_SILENCE_MS,
  MAX_EXCHANGES,
  MAX_FRAME_BYTES,
  PROTOCOL_VERSION,
  WINDOW_BYTES,
} from "#protocol/limits.ts";
import { WebSocket } from "ws";
import { connectHttp } from "./support/connected.ts";
import { ManualClock } from "./support/manual-clock.ts";

describe("an invalid frame", () => {
  it.each([
    ["text that is no JSON", "garbage"],
    ["JSON that is no frame", '{"type":"launch"}'],
    ["a second welcome", JSON.stringify({ type: "welcome", protocol: 1, epoch: 2, acked: 0 })],
    ["an empty message", Buffer.alloc(0)],
    ["an unknown kind", Buffer.from([99, 0, 0, 0, 0, 1])],
    ["unknown flags", Buffer.from([FrameKind.BODY, 8, 0, 0, 0, 1])],
    ["a head longer than its frame", Buffer.from([FrameKind.REQUEST, 1, 0, 0, 0, 1, 0, 0, 0, 200, 123])],
    ["a head that is no JSON", Buffer.from([FrameKind.REQUEST, 1, 0, 0, 0, 1, 0, 0, 0, 1, 123])],
    ["a response, which only connectors send", Buffer.from([FrameKind.RESPONSE, 1, 0, 0, 0, 1])],
  ])("closes the link, which is dialled again: %s", async (_, message) => {
    await using connected = await connectHttp((_request, response) => void response.end("{}"));
    connected.link.socket.send(message);
    expect((await connected.link.closed).code).toBe(CloseCode.BAD_FRAME);
    const again = await connected.script.link();
    expect((await again.call()).status).toBe(200);
  });

  it("closes the link when it exceeds the size limit", async () => {
    await using connected = await connectHttp((_, response) => void response.end("{}"));
    connected.link.socket.send(Buffer.alloc(MAX_FRAME_BYTES + 1));
    expect((await connected.link.closed).code).toBe(1009);
    expect((await (await connected.script.link()).call()).status).toBe(200);
  });

  it("closes the link when a body exceeds its window", async () => {
    await using connected = await connectHttp(() => undefined); // reads nothing
    const exchange = connected.link.open({}, "", false);
    await connected.server.requested(1);
    const body = Buffer.alloc(CHUNK_BYTES);
    // The target's socket takes some; the window is overrun all the same, since credit is what was given.
    for (
      let sent = 0;
      sent < 100 * WINDOW_BYTES && connected.link.socket.readyState === WebSocket.OPEN;
      sent += body.length
    )
      connected.link.send({ kind: FrameKind.BODY, exchange, end: false, body });
    expect((await connected.link.closed).code).toBe(CloseCode.BAD_FRAME);
  });

  it("closes the link when an exchange is opened twice", async () => {
    await using connected = await connectHttp(() => undefined);
    const { link } = connected;
    const exchange = link.open();
    link.send({
      kind: FrameKind.REQUEST,
      exchange,
      end: true,
      head: { method: "GET", path: "/mcp", headers: [] },
      body: Buffer.alloc(0),
    });
    expect((await link.closed).code).toBe(CloseCode.BAD_FRAME);
  });

  it("does not close the link if it belongs to an exchange that is over", async () => {
    await using connected = await connectHttp((_, response) => void response.end("{}"));
    const { link } = connected;
    await link.call();
    link.send({ kind: FrameKind.WINDOW, exchange: 1, credit: 5 });
    link.send({ kind: FrameKind.BODY, exchange: 1, end: true, body: Buffer.from("late") });
    link.send({ kind: FrameKind.CANCEL, exchange: 1, reason: "late" });
    expect((await link.call()).status).toBe(200);
  });
});

it("a connector identifies itself first, with its facts and the name of its event stream", async () => {
  await using connected = await connectHttp(() => undefined);
  expect(connected.link.hello).toMatchObject({
    protocol: PROTOCOL_VERSION,
    stream: expect.any(String),
    facts: { codez: "0.0.0" },
  });
});

it("a connector sends a user agent with its dial, because some gates challenge requests without one", async () => {
  await using connected = await connectHttp(() => undefined);
  expect(connected.script.headers[0]?.["user-agent"]).toBe("codez/0.0.0");
});

it("a connector counts its dials under a name that no other process has", async () => {
  await using connected = await connectHttp(() => undefined);
  await using other = await connectHttp(() => undefined);
  connected.link.socket.terminate();
  const [first, second] = [connected.link.hello.dial, (await connected.script.link()).hello.dial];
  expect([first?.number, second?.number]).toEqual([1, 2]);
  expect(second?.connector).toBe(first?.connector);
  expect(other.link.hello.dial?.connector).not.toBe(first?.connector);
});

it("a link carries hundreds of calls at once, and refuses more", async () => {
  const held: (() => void)[] = [];
  await using connected = await connectHttp((_, response) => {
    held.push(() => response.end("{}"));
  });
  const { link, server } = connected;
  const calls = Array.from({ length: MAX_EXCHANGES }, () => link.answerOf(link.open({}, "{}")));
  await server.requested(MAX_EXCHANGES);
  await expect(link.answerOf(link.open())).rejects.toThrow(`${MAX_EXCHANGES} calls`);
  for (const finish of held) finish();
  expect((await Promise.all(calls)).every(({ status }) => status === 200)).toBe(true);
});

describe("time", () => {
  it("is covered by heartbeats, and silence means a dead link", async () => {
    const clock = new ManualClock();
    await using connected = await connectHttp((_, response) => void response.end("{}"), { clock });
    const { link, script } = connected;
    await link.call();
    clock.advance(HEARTBEAT_MS);
    await link.until(() => link.texts.length === 1);
    await link.call(); // its frames come after the pong, which therefore was heard
    clock.advance(HEARTBEAT_MS);
    await link.until(() => link.texts.length === 2);
    expect(link.texts).toEqual(["ping", "ping"]);
    clock.advance(LINK_SILENCE_MS);
    await link.closed;
    await script.link();
  });

  it("runs out for a script that accepts the socket and sends no welcome", async () => {
    const clock = new ManualClock();
    await using connected = await connectHttp(() => undefined, { clock });
    connected.script.isSilent = true;
    connected.link.socket.terminate();
    await connected.script.greetedTimes(2);
    await clock.waits(HELLO_TIMEOUT_MS);
    connected.script.isSilent = false;
    clock.advance(HELLO_TIMEOUT_MS);
    await connected.script.link();
  });
});
