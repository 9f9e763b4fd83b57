import { once } from "node:events";
import { request } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { TrustedProxies } from "../../../scripts/front/client-address.ts";
import type { Certificate } from "../../../scripts/front/certificate.ts";
import { Front } from "../../../scripts/front/front.ts";
import { MAX_HEAD_BYTES } from "../../../scripts/front/limits.ts";
import { newCertificate } from "./support/certificates.ts";
import { TestGate } from "./support/gate.ts";

let gate: TestGate;
let certificate: Certificate;
let renewed: Certificate;

beforeAll(async () => {
  gate = await TestGate.start();
  certificate = newCertificate();
  renewed = newCertificate();
});

afterAll(() => gate[Symbol.asyncDispose]());

async function front(secure: boolean, trusted: readonly string[] = []): Promise<Front> {
  const started = await Front.start({
    host: "127.0.0.1",
    port: 0,
    upstream: { socketPath: gate.socketPath },
    certificate: secure ? certificate : null,
    trusted: new TrustedProxies(trusted),
    log: () => undefined,
  });
  onTestFinished(() => started[Symbol.asyncDispose]());
  return started;
}

type Seen = { protocol: string; url: string; headers: [string, string][]; body: string };

describe("the front", () => {
  it("forwards a request with its body and method, and states who the client is", async () => {
    const { port } = await front(false);
    const response = await fetch(`http://127.0.0.1:${port}/a?b=%2F`, {
      method: "POST",
      body: "words",
      headers: { "cf-connecting-ip": "198.51.100.1", "x-operator-caller": "owner", "mcp-session-id": "kept" },
    });
    const seen = (await response.json()) as Seen;
    expect(seen).toMatchObject({ protocol: "http:", url: `http://127.0.0.1:${port}/a?b=%2F`, body: "words" });
    const headers = new Map(seen.headers);
    expect(headers.get("cf-connecting-ip")).toBe("127.0.0.1");
    expect(headers.get("mcp-session-id")).toBe("kept");
    expect(headers.has("x-operator-caller")).toBe(false);
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });

  it("believes only a trusted proxy about client, host and scheme", async () => {
    const claims = {
      "x-forwarded-for": "203.0.113.7",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "operator.example.com",
    };
    const behind = await front(false, ["127.0.0.1"]);
    const told = (await (await fetch(`http://127.0.0.1:${behind.port}/`, { headers: claims })).json()) as Seen;
    expect(told.url).toBe("https://operator.example.com/");
    expect(new Map(told.headers).get("cf-connecting-ip")).toBe("203.0.113.7");
    // A proxy that names no client is not treated as one client, because many may be behind it.
    const silent = (await (await fetch(`http://127.0.0.1:${behind.port}/`)).json()) as Seen;
    expect(new Map(silent.headers).has("cf-connecting-ip")).toBe(false);
    // One that does not name the scheme terminates TLS all the same. Of several proxies the first one knows.
    expect(silent.url).toBe(`https://127.0.0.1:${behind.port}/`);
    for (const [named, scheme] of [
      ["http", "http"],
      ["https, http", "https"],
      ["http, https", "http"],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${behind.port}/`, { headers: { "x-forwarded-proto": named } });
      expect(((await response.json()) as Seen).url).toBe(`${scheme}://127.0.0.1:${behind.port}/`);
    }
    const open = await front(false);
    const seen = (await (await fetch(`http://127.0.0.1:${open.port}/`, { headers: claims })).json()) as Seen;
    expect(seen.url).toBe(`http://127.0.0.1:${open.port}/`);
    expect(new Map(seen.headers).get("cf-connecting-ip")).toBe("127.0.0.1");
  });

  it("speaks HTTP/2 over TLS, and the gate sees https", async () => {
    const { port } = await front(true);
    const session = connectHttp2(`https://localhost:${port}`, { ca: certificate.cert });
    onTestFinished(() => session.close());
    const stream = session.request({ ":path": "/two", ":method": "POST" });
    stream.end("words");
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    expect(JSON.parse(text)).toMatchObject({ protocol: "https:", url: `https://localhost:${port}/two`, body: "words" });
  });

  it.each([false, true])(
    "forwards a WebSocket in both directions (TLS: %s), and ends both sides with either",
    async (secure) => {
      const { port } = await front(secure);
      const path = `/socket-${secure}`;
      const socket = new WebSocket(`${secure ? "wss://localhost" : "ws://127.0.0.1"}:${port}${path}`, {
        ca: certificate.cert,
      });
      const answer = new Promise((resolve) => socket.once("message", (data: Buffer) => resolve(data.toString())));
      socket.once("open", () => socket.send("hello"));
      expect(await answer).toBe("echo hello");
      socket.terminate();
      await gate.says(`closed ${path}`);
    },
  );

  it("forwards what a client sends together with its handshake", async () => {
    const { port } = await front(false);
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let said = "";
    socket.on("data", (data) => (said += data.toString("latin1")));
    const asked = ["GET /early HTTP/1.1", "host: x", "connection: Upgrade", "upgrade: websocket"];
    const handshake = [...asked, "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "sec-websocket-version: 13", "", ""];
    const hello = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from("hello")]); // a text in one frame, with an empty mask
    socket.write(Buffer.concat([Buffer.from(handshake.join("\r\n")), hello]));
    await expect.poll(() => said).toContain("echo hello");
  });

  it("forwards a stream chunk by chunk", async () => {
    const { port } = await front(false);
    const response = await fetch(`http://127.0.0.1:${port}/stream`);
    const chunks: string[] = [];
    for await (const chunk of response.body ?? []) {
      chunks.push(new TextDecoder().decode(chunk));
      // The gate says the second only after this, so the first did not wait for it.
      if (chunks.length === 1) await fetch(`http://127.0.0.1:${port}/go-on`);
    }
    expect(chunks).toEqual(["data: 1\n\n", "data: 2\n\n"]);
  });

  it("cancels the request at the gate when its client closes the connection gracefully", async () => {
    const { port } = await front(false);
    gate.words.length = 0;
    const outgoing = request({ host: "127.0.0.1", port, path: "/hold", agent: false });
    outgoing.on("error", () => undefined);
    outgoing.end();
    await gate.says("holding");
    outgoing.destroy();
    await gate.says("aborted /hold");
  });

  it("cancels the request at the gate when its client cancels it over HTTP/2, before the answer has begun", async () => {
    const { port } = await front(true);
    const session = connectHttp2(`https://localhost:${port}`, { ca: certificate.cert });
    onTestFinished(() => session.destroy());
    gate.words.length = 0;
    const stream = session.request({ ":path": "/hold" });
    stream.on("error", () => undefined); // it is cancelled
    await gate.says("holding");
    stream.close(constants.NGHTTP2_CANCEL);
    await gate.says("aborted /hold");
  });

  it("never makes an interrupted body look complete", async () => {
    const { port } = await front(false);
    gate.words.length = 0;
    const socket = connect(port, "127.0.0.1");
    socket.write("POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await gate.says("first 5");
    socket.end();
    await gate.says("aborted /upload");
    expect(gate.words.join()).not.toContain("whole");
  });

  it("answers 502 with what to do while the gate is not running", async () => {
    const lonely = await Front.start({
      host: "127.0.0.1",
      port: 0,
      upstream: { socketPath: "/nonexistent/gate.sock" },
      certificate: null,
      trusted: new TrustedProxies([]),
      log: () => undefined,
    });
    onTestFinished(() => lonely[Symbol.asyncDispose]());
    const response = await fetch(`http://127.0.0.1:${lonely.port}/`);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: "unavailable", retryable: true } });
  });

  it.each([
    ["a head that is too large", `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(MAX_HEAD_BYTES)}\r\n\r\n`, "431"],
    ["a request without a host", "GET / HTTP/1.0\r\n\r\n", "400"],
    ["an absolute target", "GET http://evil.test/ HTTP/1.1\r\nhost: x\r\n\r\n", "400"],
    ["garbage", "\x16\x03\x01\x00\xa5\x01\r\n\r\n", "400"],
  ])("refuses %s", async (_, sent, status) => {
    const { port } = await front(false);
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
    socket.write(sent);
    expect((await answer).split("\r\n")[0]).toContain(`HTTP/1.1 ${status}`);
    socket.destroy();
  });

  it("uses a renewed certificate for the next connection, and keeps open ones", async () => {
    const started = await front(true);
    const url = `https://localhost:${started.port}`;
    const open = connectHttp2(url, { ca: certificate.cert });
    await once(open, "connect");
    started.renew(renewed);
    const next = connectHttp2(url, { ca: renewed.cert });
    await once(next, "connect");
    expect(open.closed).toBe(false);
    open.close();
    next.close();
  });
});
