import { Agent, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CHUNK_BYTES } from "#protocol/limits.ts";
import { bodyOf } from "../scripts/connector/support/http-server.ts";
import { until, within } from "./support/eventually.ts";
import { answerOf, headOf, open, Pieces, send } from "./support/http.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { startPublicOperator } from "./support/public-operator.ts";
import { ScriptedServer } from "./support/scripted-server.ts";

/** A hang guard: no answer here takes more than a moment. */
const SOON_MS = 10_000;

const JSON_TYPE = { "content-type": "application/json", accept: "application/json, text/event-stream" };

const WAYS: [way: string, start: () => Promise<TestOperator>][] = [
  ["a start for this computer", () => TestOperator.start()],
  ["the front of a public one", startPublicOperator],
];

describe.each(WAYS)("through %s", (_way, start) => {
  let operator: TestOperator;
  let atticServer: ScriptedServer;
  let barnServer: ScriptedServer;
  let attic: Machine;
  let barn: Machine;

  /** Says whose it is, and what it was sent. */
  function echo(name: string) {
    return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const body = await bodyOf(request);
      response.writeHead(200, {
        "content-type": "application/json",
        "x-server": name,
        "content-length": body.length,
      });
      response.end(body);
    };
  }

  beforeAll(async () => {
    operator = await start();
    atticServer = await ScriptedServer.start(echo("attic"));
    barnServer = await ScriptedServer.start(echo("barn"));
    operator.own(atticServer);
    operator.own(barnServer);
    attic = await Machine.add(operator, "attic", atticServer.url);
    barn = await Machine.add(operator, "barn", barnServer.url);
  });

  beforeEach(() => {
    atticServer.answer(echo("attic"));
    barnServer.answer(echo("barn"));
  });

  afterAll(() => operator[Symbol.asyncDispose]());

  /** A server that keeps each request open until the test has it. */
  function held(server: ScriptedServer): () => Promise<{ request: IncomingMessage; response: ServerResponse }> {
    const waiting: { request: IncomingMessage; response: ServerResponse }[] = [];
    server.answer((request, response) => void waiting.push({ request, response }));
    return async () => {
      await until("a request reaches the server", () => waiting.length > 0);
      const first = waiting.shift();
      if (first === undefined) throw new Error("unreachable: something waits");
      return first;
    };
  }

  test.each<[string, Record<string, string | number>, string]>([
    ["JSON with its length", { "content-type": "application/json", "content-length": 2 }, "{}"],
    ["JSON without its length", { "content-type": "application/json" }, "{}"],
    ["an event stream", { "content-type": "text/event-stream" }, "data: {}\n\n"],
  ])(
    "a token may call as often as it likes, one call after the other, when answers are %s",
    async (_what, head, text) => {
      atticServer.answer((_request, response) => void response.writeHead(200, head).end(text));
      const headers = { ...JSON_TYPE, authorization: `Bearer ${await operator.token()}` };
      using agent = keptAlive(attic.url);
      const statuses: number[] = [];
      // More than may be open at once. Each has ended when the next one is sent, and gives back its place at once.
      for (let calls = 0; calls < 401; calls += 1)
        statuses.push((await send(attic.url, { headers, body: "{}", agent })).status);
      expect(new Set(statuses)).toEqual(new Set([200]));
    },
  );

  test("each machine's own URL, by path and by host, reaches that machine and no other", async () => {
    for (const machine of [attic, barn])
      for (const url of [machine.url, machine.hostUrl]) {
        const answer = await send(url, { body: "hello" });
        expect([answer.status, answer.text, answer.headers["x-server"]]).toEqual([200, "hello", machine.name]);
      }
    expect([atticServer.requests.length, barnServer.requests.length]).toEqual([2, 2]);
  });

  test("every call runs once, with many at a time", async () => {
    const seen = new Map<string, number>();
    atticServer.answer(async (request, response) => {
      const text = (await bodyOf(request)).toString();
      seen.set(text, (seen.get(text) ?? 0) + 1);
      response.end(text);
    });
    const names = Array.from({ length: 100 }, (_, index) => `call ${index}`);
    const answers = await Promise.all(names.map((body) => send(attic.url, { headers: JSON_TYPE, body })));
    expect(answers.map(({ text }) => text)).toEqual(names);
    expect([...seen.values()]).toEqual(names.map(() => 1));
  });

  test("a call whose server disconnects without an answer fails with a typed error, and is not sent again", async () => {
    atticServer.answer(async (request) => {
      await bodyOf(request);
      request.socket.destroy();
    });
    const body = JSON.stringify({ jsonrpc: "2.0", id: "seven", method: "tools/call", params: {} });
    const answer = await send(attic.url, { headers: JSON_TYPE, body });
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({
      id: "seven",
      error: { data: { code: "machine_failed", retryable: false } },
    });
    expect(atticServer.requests).toHaveLength(1);
  });

  test("a server's message to one session arrives only in that session", async () => {
    const next = held(atticServer);
    const streams = [];
    for (const session of ["one", "two"]) {
      const outgoing = open(attic.url, {
        method: "GET",
        headers: { accept: "text/event-stream", "mcp-session-id": session },
      });
      outgoing.end();
      const { request, response } = await next();
      response.writeHead(200, {
        "content-type": "text/event-stream",
        "x-for": String(request.headers["mcp-session-id"]),
      });
      response.write(": open\n\n");
      const head = await headOf(outgoing);
      expect(head.headers["x-for"]).toBe(session);
      streams.push({ response, pieces: new Pieces(head) });
    }
    const [one, two] = streams;
    await one?.pieces.until(": open");
    await two?.pieces.until(": open");
    one?.response.end("data: for one\n\n");
    expect(await one?.pieces.rest()).toBe("data: for one\n\n");
    two?.response.end("data: for two\n\n");
    expect(await two?.pieces.rest()).toBe("data: for two\n\n");
  });

  test("a notification that cancels a call reaches the server during the call, byte for byte", async () => {
    const next = held(atticServer);
    const call = send(attic.url, { headers: JSON_TYPE, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call"}` });
    const { response } = await next();
    const notification = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"\\u00e9"}}`;
    const cancelling = send(attic.url, { headers: JSON_TYPE, body: notification });
    const cancel = await next();
    expect((await bodyOf(cancel.request)).toString()).toBe(notification);
    cancel.response.writeHead(202).end();
    const { status, body, headers } = await cancelling;
    expect([status, body.length, headers["content-type"]]).toEqual([202, 0, undefined]);
    response.writeHead(200).end("stopped");
    expect((await call).text).toBe("stopped");
  });

  test("characters split by a chunk border arrive whole, in both directions", async () => {
    const next = held(atticServer);
    const outgoing = open(attic.url, { headers: { "content-type": "application/json" } });
    const character = Buffer.from("😀");
    outgoing.write(character.subarray(0, 2));
    const { request, response } = await next();
    const incoming = request[Symbol.asyncIterator]();
    const { value: first } = await incoming.next();
    expect(first).toEqual(character.subarray(0, 2)); // really in two pieces
    outgoing.end(character.subarray(2));
    const { value: second } = await incoming.next();
    expect(Buffer.concat([first, second]).toString()).toBe("😀");

    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(character.subarray(0, 3));
    const chunks = (await headOf(outgoing))[Symbol.asyncIterator]();
    const { value: third } = await chunks.next();
    expect(third).toEqual(character.subarray(0, 3));
    response.end(character.subarray(3));
    const { value: fourth } = await chunks.next();
    expect(Buffer.concat([third, fourth]).toString()).toBe("😀");

    // And where the link's own chunks end, whatever the offset.
    atticServer.answer(echo("attic"));
    for (const offset of [0, 1, 2, 3]) {
      const text = "x".repeat(offset) + "😀".repeat(CHUNK_BYTES / 2);
      expect((await send(attic.url, { body: text })).body.equals(Buffer.from(text))).toBe(true);
    }
  });

  test("JSON is not re-encoded: numbers, whitespace, escapes, repeated keys and their order stay", async () => {
    const text = `{ "id":9007199254740993,\r\n\t"big" : 123456789012345678901234567890, "one":1.0, "zero": -0, "huge":1e400,
    "escaped":"\\u00e9\\/", "b":1, "a":2, "b":3, "__proto__":{"x":1} }\n`;
    for (const type of ["application/json", "text/event-stream"]) {
      atticServer.answer(async (request, response) => {
        const body = await bodyOf(request);
        response.writeHead(200, { "content-type": type });
        response.end(body);
      });
      expect((await send(attic.url, { headers: JSON_TYPE, body: text })).text).toBe(text);
    }
  });

  test("every byte value arrives unchanged, in a small body and in one of many chunks", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    for (const body of [bytes, Buffer.concat(Array.from({ length: 3000 }, () => bytes))]) {
      const answer = await send(attic.url, { headers: { "content-type": "application/octet-stream" }, body });
      expect(answer.body.equals(body)).toBe(true);
    }
  });

  test("a stream is forwarded as it is produced, event by event, in both directions", async () => {
    const next = held(atticServer);
    const outgoing = open(attic.url, { headers: JSON_TYPE });
    outgoing.write("part 1;");
    const { request, response } = await next();
    const asked = new Pieces(request);
    await asked.until("part 1;");
    outgoing.write("part 2;");
    await asked.until("part 2;");
    // The answer begins while the question goes on.
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
    const answered = new Pieces(await headOf(outgoing));
    await answered.until("data: 1");
    outgoing.end("part 3;");
    expect(await asked.rest()).toBe("part 3;");
    for (const number of [2, 3, 4]) {
      response.write(`data: ${number}\n\n`);
      expect(await answered.until(`data: ${number}`)).toBe(`data: ${number}\n\n`);
    }
    response.end();
    expect(await answered.rest()).toBe("");
  });

  test("a head that arrives before its body is forwarded at once", async () => {
    const next = held(atticServer);
    const outgoing = open(attic.url, { method: "GET", headers: { accept: "text/event-stream" } });
    outgoing.end();
    const { response } = await next();
    response.writeHead(200, { "content-type": "text/event-stream", "mcp-session-id": "s" });
    response.flushHeaders();
    const head = await within(SOON_MS, "the head", headOf(outgoing));
    expect(head.headers["mcp-session-id"]).toBe("s");
    response.end("data: late\n\n");
    expect((await answerOf(head)).text).toBe("data: late\n\n");
  });

  test("MCP's headers, including unknown ones, reach the server and the caller unchanged", async () => {
    const headers = {
      accept: "application/json, text/event-stream",
      "content-type": "application/json; charset=utf-8",
      "mcp-session-id": "attic/0f; x=1",
      "mcp-protocol-version": "2099-01-01",
      "mcp-method": "tools/call",
      "mcp-name": "=?base64?w6k=?=",
      "mcp-param-region": "eu",
      "last-event-id": "stream:42",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "user-agent": "test/1",
      "x-some-day": "a, b",
      "x-empty": "",
    };
    let seen: IncomingMessage["headers"] = {};
    atticServer.answer((request, response) => {
      seen = request.headers;
      response.writeHead(200, {
        "mcp-session-id": "new",
        "mcp-some-day": "x, y",
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "retry-after": "3",
        "x-accel-buffering": "no",
      });
      response.end();
    });
    const answer = await send(attic.url, { headers });
    expect(seen).toMatchObject(headers);
    expect(answer.headers).toMatchObject({
      "mcp-session-id": "new",
      "mcp-some-day": "x, y",
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "retry-after": "3",
      "x-accel-buffering": "no",
    });
  });

  test("a header given twice arrives with both its values, in order", async () => {
    let seen: string[] = [];
    atticServer.answer((request, response) => {
      seen = (request.headersDistinct["x-twice"] ?? []).flatMap((value) => value.split(", "));
      response.setHeader("x-back", ["one", "two"]);
      response.setHeader("mcp-back", ["<a>; rel=a", "<b>; rel=b"]);
      response.end();
    });
    const answer = await send(attic.url, { headers: ["x-twice", "first", "x-twice", "second"] });
    expect(seen).toEqual(["first", "second"]);
    expect(answer.all("x-back").flatMap((value) => value.split(", "))).toEqual(["one", "two"]);
    expect(answer.all("mcp-back").flatMap((value) => value.split(", "))).toEqual(["<a>; rel=a", "<b>; rel=b"]);
  });

  test("the server's statuses arrive with their bodies", async () => {
    for (const status of [
      200, 201, 202, 203, 206, 400, 403, 404, 405, 406, 409, 410, 415, 422, 429, 500, 501, 503, 504,
    ]) {
      atticServer.answer((_request, response) => {
        response.writeHead(status, { "content-type": "application/json", allow: "POST" });
        response.end(`{"its":"own ${status}"}`);
      });
      const { status: got, text, headers } = await send(attic.url, { headers: JSON_TYPE, body: "{}" });
      expect([got, text, headers.allow]).toEqual([status, `{"its":"own ${status}"}`, "POST"]);
      expect(headers["x-operator-error"]).toBeUndefined();
      expect(atticServer.requests).toHaveLength(1);
    }
  });

  test("a redirect is neither followed nor forwarded, because a client would follow it with its token", async () => {
    for (const status of [301, 302, 303, 304, 307, 308]) {
      atticServer.answer((_request, response) => void response.writeHead(status, { location: "/api/machines" }).end());
      const { status: got, headers } = await send(attic.url, { headers: JSON_TYPE, body: "{}" });
      expect([got, headers.location, headers["x-operator-error"]]).toEqual([502, undefined, "machine_failed"]);
      expect(atticServer.requests).toHaveLength(1);
    }
  });

  test("a session that the server lost gets the server's 404, for POST, GET and DELETE", async () => {
    const lost = `{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}`;
    atticServer.answer(
      (_request, response) => void response.writeHead(404, { "content-type": "application/json" }).end(lost),
    );
    for (const method of ["POST", "GET", "DELETE"]) {
      const answer = await send(attic.url, { method, headers: { ...JSON_TYPE, "mcp-session-id": "gone" } });
      expect([answer.status, answer.text]).toEqual([404, lost]);
    }
    expect(atticServer.requests.map(({ method }) => method)).toEqual(["POST", "GET", "DELETE"]);
  });

  test("answers without a body stay without one: 202, 204, HEAD, and an empty 200", async () => {
    for (const status of [200, 202, 204]) {
      atticServer.answer((_request, response) => void response.writeHead(status, { "mcp-session-id": "s" }).end());
      const answer = await send(attic.url, { headers: JSON_TYPE, body: "{}" });
      expect([answer.status, answer.body.length, answer.headers["mcp-session-id"]]).toEqual([status, 0, "s"]);
    }
    const methods: (string | undefined)[] = [];
    atticServer.answer((request, response) => {
      methods.push(request.method);
      response
        .writeHead(200, { "x-head": "yes", "content-length": "5" })
        .end(request.method === "HEAD" ? undefined : "hello");
    });
    const head = await send(attic.url, { method: "HEAD" });
    expect([head.status, head.headers["x-head"], head.body.length, methods]).toEqual([200, "yes", 0, ["HEAD"]]);
  });

  test("methods arrive unchanged, and a request without a body stays without one", async () => {
    const seen: string[] = [];
    atticServer.answer(async (request, response) => {
      const { length } = await bodyOf(request);
      seen.push(`${request.method} ${length} ${request.headers["content-type"] ?? "-"}`);
      response.end();
    });
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) await send(attic.url, { method });
    await send(attic.url, {
      method: "DELETE",
      body: "with one",
      headers: { "content-type": "text/plain", "content-length": "8" },
    });
    expect(seen).toEqual(["GET 0 -", "POST 0 -", "PUT 0 -", "PATCH 0 -", "DELETE 0 -", "DELETE 8 text/plain"]);
  });

  test("a body of GET or HEAD means nothing and is left out, also an empty one whose length is sent", async () => {
    const seen: string[] = [];
    atticServer.answer(async (request, response) => {
      const { length } = await bodyOf(request);
      seen.push(`${request.method} ${length}`);
      response.end();
    });
    const empty = { "content-length": "0" };
    const statuses = [
      await send(attic.url, { method: "GET", headers: empty }),
      await send(attic.url, { method: "HEAD", headers: empty }),
      await send(attic.url, { method: "GET", body: "hello", headers: { "content-length": "5" } }),
      await send(attic.url, { method: "GET", body: "hello", headers: { "transfer-encoding": "chunked" } }),
    ].map(({ status }) => status);
    expect([statuses, seen]).toEqual([
      [200, 200, 200, 200],
      ["GET 0", "HEAD 0", "GET 0", "GET 0"],
    ]);
  });

  test("credentials, cookies, Operator's headers and a proxy's never reach the server, which sees its own host", async () => {
    let seen: IncomingMessage["headers"] = {};
    atticServer.answer((request, response) => {
      seen = request.headers;
      response.setHeader("set-cookie", ["a=1", "b=2"]);
      response.setHeader("x-operator-caller", "owner");
      response.setHeader("x-operator-error", "machine_offline");
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("connection", "keep-alive, x-hop");
      response.setHeader("x-hop", "the server's hop alone");
      response.end("fine");
    });
    const headers = {
      authorization: `Bearer ${await operator.token()}`,
      "proxy-authorization": "Basic eDp5",
      cookie: "session=secret",
      "x-operator-caller": "somebody",
      "x-operator-machine": "barn",
      "x-operator-secret": "guess",
      "x-operator-anything": "1",
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-host": "evil.example",
      forwarded: "for=10.0.0.1",
      via: "1.1 proxy",
      "cf-connecting-ip": "10.0.0.1",
      "cf-ray": "1",
      origin: "https://page.example",
      referer: "https://page.example/secret",
      "x-stays": "yes",
    };
    for (const url of [attic.url, attic.hostUrl]) {
      const answer = await send(url, { headers });
      expect(answer.text).toBe("fine");
      // `connection` and `accept-encoding` are the last hop's own.
      expect(Object.keys(seen).toSorted()).toEqual([
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "user-agent",
        "x-stays",
      ]);
      expect([seen.host, seen["x-stays"]]).toEqual([atticServer.url.host, "yes"]);
      expect([answer.headers["set-cookie"], answer.headers["x-hop"]]).toEqual([undefined, undefined]);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("x-operator-"))).toEqual([]);
      expect(answer.headers["access-control-allow-origin"]).toBe("https://page.example"); // the gate's, not the server's
    }
    expect(barnServer.requests).toHaveLength(0);
  });

  test("the query is forwarded, and the path is the server's own", async () => {
    await send(new URL("?a=1&b=%2F%20&c", attic.url));
    await send(new URL("?x=é", attic.hostUrl));
    expect(atticServer.requests.map(({ url }) => url)).toEqual(["/mcp?a=1&b=%2F%20&c", "/mcp?x=%C3%A9"]);
  });

  test("no path reaches anything except the server's endpoint, or another machine", async () => {
    const targets = [
      "/m/attic/../barn/mcp",
      "/m/attic/mcp/../../barn/mcp",
      "/m/attic/%2e%2e/barn/mcp",
      "/m/attic/mcp/%2e%2e/secret",
      "/m/attic/..%2fbarn/mcp",
      "/m/attic%2fmcp",
      "/m/attic/mcp%2f..%2f..%2fsecret",
      "/m/%61ttic/mcp",
      "/m/ATTIC/mcp",
      "/m/attic./mcp",
      "/m/attic%00/mcp",
      "/m/att\u0131c/mcp",
      "/m/attic--/mcp",
      "/m//attic/mcp",
      "/m/attic//mcp",
      "/m/attic/mcp/",
      "/m/attic/mcp/secret",
      "/m/attic/MCP",
      "/m/attic/operator/state",
      "/m/attic/operator/call",
      "/m/attic/operator/close",
      "/m/attic/operator/log",
      "/m/attic/",
      "/m/attic",
      "//m/attic/mcp",
      "/M/attic/mcp",
      "/mcp/../m/attic/secret",
    ];
    for (const target of targets) {
      const answer = await send(attic.url, { headers: JSON_TYPE, body: "{}", target: encodeURI(decode(target)) });
      // A target that names the other machine once its dot segments are resolved is a plain request for it.
      const isBarn = answer.headers["x-server"] === "barn";
      expect([target, isBarn || [400, 404].includes(answer.status)]).toEqual([target, true]);
    }
    expect(atticServer.requests.map(({ url }) => url)).toEqual([]);
    expect(new Set(barnServer.requests.map(({ url }) => url))).toEqual(new Set(["/mcp"]));
    for (const host of [
      "attic.localhost.evil.example",
      "barn.attic.localhost",
      "attic.evil.example",
      "ATTIC.LOCALHOST.",
      "-.localhost",
    ]) {
      const answer = await send(attic.url, { headers: { host: `${host}:${operator.port}` }, target: "/mcp" });
      expect([host, [400, 401, 403, 404].includes(answer.status)]).toEqual([host, true]);
    }
    expect(atticServer.requests).toHaveLength(0);
  });

  /** Only non-ASCII characters are encoded below; existing escapes are the attack. */
  function decode(target: string): string {
    return target.replaceAll("%", "\u{e000}").replaceAll("\u{e000}", "%");
  }

  test("a page in a browser may call: the preflight allows MCP's headers, and the answer exposes them", async () => {
    const origin = "http://localhost:6274";
    for (const url of [attic.url, attic.hostUrl, operator.mcpUrl]) {
      const preflight = await send(url, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "mcp-session-id,mcp-protocol-version,last-event-id,authorization",
        },
      });
      expect([preflight.status, preflight.body.length]).toEqual([204, 0]);
      expect(preflight.headers["access-control-allow-origin"]).toBe(origin);
      expect(preflight.headers["access-control-allow-methods"]).toContain("DELETE");
      for (const name of ["mcp-session-id", "last-event-id", "authorization"])
        expect(preflight.headers["access-control-allow-headers"]).toContain(name);
    }
    expect(atticServer.requests).toHaveLength(0);
    atticServer.answer((_request, response) => void response.writeHead(200, { "mcp-session-id": "s" }).end());
    const answer = await send(attic.url, { headers: { origin } });
    expect(answer.headers["access-control-allow-origin"]).toBe(origin);
    expect(answer.headers["access-control-expose-headers"]).toContain("mcp-session-id");
    expect(answer.headers["access-control-allow-credentials"]).toBeUndefined();
  });

  test("headers above the limit cause a typed error in both directions, and the link stays", async () => {
    const { length: before } = barn.epochs;
    const big = "x".repeat(70 * 1024);
    atticServer.answer(
      (_request, response) => void response.writeHead(200, { "x-big": big.slice(0, 12_000) }).end("fine"),
    );
    expect((await send(attic.url)).text).toBe("fine");
    const answer = await send(attic.url, {
      headers: Array.from({ length: 10 }, (_, index) => [`x-${index}`, big.slice(0, 7_500)]).flat(),
    });
    expect([answer.status, answer.headers["x-operator-error"]]).toEqual([400, "invalid_request"]);
    expect(barn.epochs).toHaveLength(before);
    expect((await send(attic.url)).text).toBe("fine");
  });

  test.each([
    ["for the machine that it names", "/m/nowhere/mcp", [], 404],
    ["for its token", undefined, ["authorization", "Bearer wrong"], 401],
    ["for its headers", undefined, Array.from({ length: 10 }, (_, at) => [`x-${at}`, "x".repeat(7_500)]).flat(), 400],
  ])(
    "a large call that is refused %s does not break the next one on its connection",
    async (_why, target, headers, status) => {
      atticServer.answer((_request, response) => void response.end("fine"));
      using agent = keptAlive(attic.url);
      for (const size of [1_000, 100_000, 2_000_000]) {
        const refused = await send(attic.url, { headers, body: "x".repeat(size), agent, ...(target && { target }) });
        expect([size, refused.status]).toEqual([size, status]);
        expect([size, (await send(attic.url, { agent })).text]).toEqual([size, "fine"]);
      }
    },
  );
});

/** One connection for all requests. */
function keptAlive({ protocol }: URL): Agent & Disposable {
  const options = { keepAlive: true, maxSockets: 1 };
  const agent = protocol === "https:" ? new SecureAgent(options) : new Agent(options);
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() });
}
