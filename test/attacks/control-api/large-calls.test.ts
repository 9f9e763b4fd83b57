// Root cause: of callers with a valid token no body was limited but by its own size. With the narrowest token, forty unfinished calls of 14 MB ended
// the gate for everybody, and one call with five million empty objects in it took 300 MB and five seconds.
import { describe, expect, test } from "vitest";
import type { Caller } from "../../../control-api/src/http/caller.ts";
import { HeldCall, LargeCalls, largeCalls, type LargeCallLimits } from "../../../control-api/src/http/large-calls.ts";
import { ORIGIN, TestUser } from "../../control-api/support/operator.ts";

const KB = 1024;
const MB = 1024 * KB;

const LIMITS: LargeCallLimits = {
  reading: { perAddress: 400 * KB, total: 800 * KB, graceMs: 60_000, bytesPerMs: 1, checkMs: 5 },
  perUser: 400 * KB,
  total: 600 * KB,
};

function caller(user: string, token = "one"): Caller {
  return { user, client: token, credential: `token:${token}` } as Caller;
}

function post(bytes: number, signal?: AbortSignal): Request {
  const body = new Uint8Array(bytes);
  const headers = { "content-length": String(bytes) };
  return new Request(ORIGIN, { method: "POST", body, headers, ...(signal === undefined ? {} : { signal }) });
}

async function held(calls: LargeCalls, user: string, kilobytes: number, token?: string): Promise<HeldCall> {
  const call = await calls.read(post(kilobytes * KB), 16 * MB, caller(user, token));
  if ("missing" in call) throw new Error(`the call was refused: ${call.missing}`);
  return call;
}

describe("what large calls hold", () => {
  test("has a limit for each person, whatever tokens they use, and ends with the calls", async () => {
    const calls = new LargeCalls(LIMITS);
    const first = await held(calls, "eve", 300);
    expect(await calls.read(post(200 * KB), 16 * MB, caller("eve", "other"))).toEqual({ missing: "no_room" });
    await held(calls, "olga", 200);
    first[Symbol.dispose]();
    await held(calls, "eve", 300, "other");
  });

  test("has a limit for all", async () => {
    const calls = new LargeCalls(LIMITS);
    await held(calls, "eve", 330);
    expect(await calls.read(post(330 * KB), 16 * MB, caller("olga"))).toEqual({ missing: "no_room" });
    await held(calls, "olga", 190);
  });

  test("goes on while a call is made whose answer has begun", async () => {
    const calls = new LargeCalls(LIMITS);
    const call = await held(calls, "eve", 300);
    const { promise: made, resolve: end } = Promise.withResolvers<void>();
    const making = call.during(() => made);
    call[Symbol.dispose]();
    expect(calls.counted).toBe(300 * KB);
    end();
    await making;
    expect(calls.counted).toBe(0);
  });

  // When a client resets its connection, the runtime stops the request's code: no `finally` runs. Only the signal's listeners do.
  test("ends when the client leaves, of a call that is being made and of a body that arrives", async () => {
    const calls = new LargeCalls(LIMITS);
    const left = new AbortController();
    const made = await calls.read(post(300 * KB, left.signal), 16 * MB, caller("eve"));
    const { stream } = unfinished(100 * KB);
    const unread = new Request(ORIGIN, { method: "POST", body: stream, signal: left.signal });
    void calls.read(unread, 16 * MB, caller("eve"));
    await expect.poll(() => calls.counted).toBeGreaterThanOrEqual(400 * KB);
    left.abort();
    expect(calls.counted).toBe(0);
    if (made instanceof HeldCall) made[Symbol.dispose]();
    expect(calls.counted).toBe(0);
  });

  test("does not count small calls", async () => {
    const calls = new LargeCalls(LIMITS);
    for (let times = 0; times < 100; times += 1) await held(calls, "eve", 60);
    expect(calls.counted).toBe(0);
  });
});

const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2025-11-25",
};

/** A body that has sent so much, and does not end before the test says so. */
function unfinished(bytes: number): { stream: ReadableStream<Uint8Array>; end: () => void } {
  let end = (): void => undefined;
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array(bytes).fill(32));
      end = () => {
        if (!isCancelled) controller.close();
      };
    },
    cancel: () => void (isCancelled = true),
  });
  return { stream, end: () => end() };
}

describe("at the gate, a valid token", () => {
  test.each([
    ["application/json", "/mcp"],
    ["text/plain", "/mcp"],
  ])("that leaves many large calls unfinished (%s, %s) loses the oldest of them", async (type, path) => {
    const user = new TestUser();
    const bodies = Array.from({ length: 4 }, () => unfinished(7 * MB));
    const headers = { ...HEADERS, "content-type": type };
    const before = largeCalls.counted;
    const answers = bodies.map(({ stream }) => user.fetch(path, { method: "POST", headers, body: stream }));
    const first = await answers[0];
    expect([415, 429]).toContain(first?.status);
    expect(largeCalls.counted - before).toBeLessThanOrEqual(20 * MB);
    for (const { end } of bodies) end();
    await Promise.all(answers);
    expect(largeCalls.counted).toBe(before);
  });

  test("whose call has millions of values is refused before they are made, and one with a large file is served", async () => {
    const user = new TestUser();
    const call = (x: string) =>
      user.fetch("/mcp", {
        method: "POST",
        headers: HEADERS,
        body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_machines","arguments":{"x":${x}}}}`,
      });
    for (const value of [`[${"{},".repeat(600_000)}1]`, `${"[".repeat(600_000)}${"]".repeat(600_000)}`]) {
      const refused = await call(value);
      expect(refused.status).toBe(400);
      expect(await refused.text()).toContain("more than 500000 values");
    }
    expect((await call(JSON.stringify("{},".repeat(600_000)))).status).toBe(200);
  });

  test("that sends a call larger than any may be is told so", async () => {
    const answer = await new TestUser().fetch("/mcp", {
      method: "POST",
      headers: { ...HEADERS, "content-length": String(17 * MB) },
      body: unfinished(1).stream,
    });
    expect([answer.status, await answer.text()]).toEqual([413, expect.stringContaining("larger than 16 MB")]);
  });
});
