import { createHash } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { bodyOf } from "../scripts/connector/support/http-server.ts";
import { client } from "./support/clients.ts";
import { until, within } from "./support/eventually.ts";
import { answerOf, headOf, open, send } from "./support/http.ts";
import { KillableMachine } from "./support/killable-machine.ts";
import { TestOperator } from "./support/operator.ts";
import { memoryOf, startedHere } from "./support/processes.ts";
import { ScriptedServer } from "./support/scripted-server.ts";
import { Workshop } from "./support/workshop.ts";

const MEGABYTE = 1024 * 1024;

/** A caller of a quiet machine gets its answer within this time, whatever the machine's neighbours do. Guards against a hang. */
const SOON_MS = 30_000;

/** How often memory is measured while a body passes. */
const LOOK_EVERY_MS = 10;

/** 100 MB that pass must not stay: what is left is windows, socket buffers and a collector that is not in a hurry. */
const MAX_GROWTH_BYTES = 60 * MEGABYTE;

const JSON_TYPE = { "content-type": "application/json", accept: "application/json, text/event-stream" };

let operator: TestOperator;
let server: ScriptedServer;
let workshop: Workshop;
/** Connectors as processes of their own, so that their memory can be told from the test's. */
let attic: KillableMachine;
let barn: KillableMachine;

beforeAll(async () => {
  operator = await TestOperator.start();
  server = await ScriptedServer.start((_, response) => void response.end());
  workshop = await Workshop.start();
  operator.own(server);
  operator.own(workshop);
  attic = await KillableMachine.add(operator, "attic", server.url);
  barn = await KillableMachine.add(operator, "barn", workshop.url);
});

beforeEach(() => {
  server.answer(async (request, response) => {
    const body = await bodyOf(request);
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
    response.end(body);
  });
});

afterAll(() => operator[Symbol.asyncDispose]());

/** Text of so many bytes in which no two places look alike, so that nothing can be lost, doubled or moved unseen. */
function text(bytes: number): string {
  let line = 0;
  let made = "";
  while (made.length < bytes) made += `${(line += 1).toString(36)};`;
  return made.slice(0, bytes);
}

test("a call carries 5 MB of arguments and a result of 5 MB at the machine's own URL", async () => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { text: text(5 * MEGABYTE) } });
  for (const framing of [{ "content-length": String(body.length) }, { "transfer-encoding": "chunked" }]) {
    const answer = await send(attic.url, { headers: { ...JSON_TYPE, ...framing }, body });
    expect([answer.status, answer.text === body]).toEqual([200, true]);
  }
});

test.each(["2025-11-25", "2026-07-28"] as const)(
  "a call carries 5 MB of arguments and a result of 5 MB through /mcp as of %s",
  async (era) => {
    await using made = await client(operator.mcpUrl, era);
    const said = text(5 * MEGABYTE);
    const result = await made.callTool({
      name: "call_tool",
      arguments: { machineId: "barn", name: "repeat", arguments: { text: said } },
    });
    expect(result.content).toHaveLength(1);
    expect((result.content as { text: string }[])[0]?.text === said).toBe(true);
  },
);

test("one link carries 200 calls at once, at the machine's own URL and through /mcp", async () => {
  const waiting = new Map<string, ServerResponse>();
  server.answer(async (request, response) => {
    waiting.set((await bodyOf(request)).toString(), response);
  });
  const names = Array.from({ length: 200 }, (_, index) => `call ${index}`);
  const direct = Promise.all(names.map((body) => send(attic.url, { headers: JSON_TYPE, body })));
  await until("200 calls are under way", () => waiting.size === 200);
  expect((await attic.detail()).state?.exchanges).toBe(200);
  for (const [name, response] of [...waiting].toReversed()) response.end(name);
  expect((await direct).map((answer) => answer.text)).toEqual(names);
  await until("no exchange is left open", async () => (await attic.detail()).state?.exchanges === 0);

  await using made = await client(operator.mcpUrl, "2026-07-28");
  const through = Promise.all(
    names.map((name) =>
      made.callTool({ name: "call_tool", arguments: { machineId: "barn", name: "wait", arguments: { name } } }),
    ),
  );
  await until("200 calls are under way", () => workshop.waiting.size === 200);
  for (const name of names.toReversed()) await workshop.release(name);
  expect((await through).map(({ content }) => content)).toEqual(
    names.map((name) => [{ type: "text", text: `${name} is done` }]),
  );
});

/** Sends `bytes` as fast as they are taken, and counts them. */
function flood(bytes: number): {
  readonly hash: string;
  sent: () => number;
  into: (to: ServerResponse) => Promise<void>;
} {
  const chunk = Buffer.from(text(MEGABYTE));
  const hash = createHash("sha256");
  for (let at = 0; at < bytes; at += chunk.length) hash.update(chunk);
  let sent = 0;
  function* chunks(): Generator<Buffer> {
    for (; sent < bytes; sent += chunk.length) yield chunk;
  }
  const into = (response: ServerResponse): Promise<void> => {
    response.writeHead(200, { "content-type": "application/json" });
    return pipeline(Readable.from(chunks()), response);
  };
  return { hash: hash.digest("hex"), sent: () => sent, into };
}

/** All processes on the way: the connector, the machine's workerd, the control API's. */
function processesOnTheWay(): Map<string, number> {
  const found = new Map<string, number>([["connector", attic.pid]]);
  for (const { pid, command } of startedHere()) if (/workerd\S* serve/.test(command)) found.set(`workerd ${pid}`, pid);
  return found;
}

test("an answer of 100 MB passes without any process on its way growing by it", async () => {
  // The first rounds warm up: what is allocated for large answers, code and buffers, stays allocated.
  for (const [round, bytes] of [100 * MEGABYTE, 100 * MEGABYTE, 100 * MEGABYTE].entries()) {
    const { hash, into } = flood(bytes);
    server.answer((_, response) => into(response));
    const processes = processesOnTheWay();
    expect(processes.size).toBeGreaterThanOrEqual(4);
    const before = new Map([...processes].map(([name, pid]) => [name, memoryOf(pid)]));
    const most = new Map(before);
    const looking = setInterval(() => {
      for (const [name, pid] of processes) most.set(name, Math.max(most.get(name) ?? 0, memoryOf(pid)));
    }, LOOK_EVERY_MS);
    const outgoing = open(attic.url);
    outgoing.end();
    const got = createHash("sha256");
    let length = 0;
    for await (const chunk of await headOf(outgoing)) {
      got.update(chunk);
      length += chunk.length;
    }
    clearInterval(looking);
    expect([length, got.digest("hex")]).toEqual([bytes, hash]);
    const growth = [...most].map(([name, peak]) => [name, peak - (before.get(name) ?? 0)] as const);
    if (round < 2) continue;
    for (const [name, by] of growth) expect([name, by < MAX_GROWTH_BYTES]).toEqual([name, true]);
  }
});

test("a reader that stops gets only part of the answer, delays nobody, and can continue", async () => {
  const bytes = 100 * MEGABYTE;
  const flow = flood(bytes);
  server.answer(async (request, response) => {
    const body = (await bodyOf(request)).toString();
    if (body === "flood") await flow.into(response);
    else response.end(body);
  });
  const processes = processesOnTheWay();
  const before = new Map([...processes].map(([name, pid]) => [name, memoryOf(pid)]));
  const outgoing = open(attic.url);
  outgoing.end("flood");
  const slow = await headOf(outgoing); // and not a byte of the body is read
  const names = Array.from({ length: 200 }, (_, index) => `beside ${index}`);
  for (const name of names) expect((await within(SOON_MS, name, send(attic.url, { body: name }))).text).toBe(name);
  const parallel = await within(
    SOON_MS,
    "calls beside it",
    Promise.all(names.map((body) => send(attic.url, { body }))),
  );
  expect(parallel.map((answer) => answer.text)).toEqual(names);
  // The link's window is 256 KiB; the rest is in buffers of sockets. There are five on the way, and the kernel lets each of their
  // ends grow to some 6 MB when it sees fit.
  expect(flow.sent()).toBeLessThan(60 * MEGABYTE);
  for (const [name, pid] of processes)
    expect([name, memoryOf(pid) - (before.get(name) ?? 0) < MAX_GROWTH_BYTES]).toEqual([name, true]);
  const { body } = await answerOf(slow);
  expect([body.length, createHash("sha256").update(body).digest("hex")]).toEqual([bytes, flow.hash]);
});

test("a request of 100 MB passes at the server's pace, and pauses when the server stops reading", async () => {
  let read = 0;
  let goOn: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => (goOn = resolve));
  server.answer(async (request, response) => {
    for await (const chunk of request) {
      read += chunk.length;
      if (read <= chunk.length) await stopped; // after the first of it
    }
    response.end(String(read));
  });
  const outgoing = open(attic.url, { headers: { "transfer-encoding": "chunked" } });
  const head = headOf(outgoing);
  const chunk = Buffer.alloc(MEGABYTE, "x");
  let written = 0;
  const writing = (async () => {
    for (; written < 100; written += 1) if (!outgoing.write(chunk)) await once(outgoing, "drain");
    outgoing.end();
  })();
  await until("the first of it is read", () => read > 0);
  for (const name of ["a", "b", "c"])
    expect((await send(barn.url, { method: "GET" })).status).toBe(name === "" ? 0 : 405);
  expect(written).toBeLessThan(30);
  goOn();
  await writing;
  expect((await answerOf(await head)).text).toBe(String(100 * MEGABYTE));
});

test.each([
  ["the connector", () => attic.kill()],
  ["the machine's script", () => attic.replaceScript("t1")],
])("an answer cut because %s went away is recognizable as cut", async (_, cut) => {
  server.answer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 5 * MEGABYTE });
    response.write(Buffer.alloc(MEGABYTE, "x")); // and no more
    return Promise.resolve();
  });
  const outgoing = open(attic.url, { headers: JSON_TYPE });
  const head = headOf(outgoing);
  outgoing.end("{}");
  const response = await head;
  expect([response.statusCode, response.headers["content-length"]]).toEqual([200, String(5 * MEGABYTE)]);
  await once(response, "readable");
  const read = answerOf(response);
  await Promise.all([expect(within(SOON_MS, "the end of the answer", read)).rejects.toThrow("aborted"), cut()]);
  if (attic.pid === 0) await attic.start();
  await attic.online();
});
