// Root cause: each answer of a machine had a limit of 8 MB at /mcp, and nothing limited how many were held at once: 400 open calls of one token, whose
// machine stopped in the middle of its answers or whose client did not read them, took 3 GB of the gate that all people share.
import { describe, expect, test } from "vitest";
import { largeAnswers, LargeAnswers } from "../../../control-api/src/http/large-answers.ts";
import { answerText, eventsWithin } from "../../../control-api/src/mcp/bounded-answer.ts";
import { failureOf, TestUser } from "../../control-api/support/operator.ts";

const JSON_TYPE = { "content-type": "application/json" };
const LARGE = "x".repeat(300_000);
const REVISION = "2025-11-25";

const begun = `{"jsonrpc":"2.0","id":"operator-1","result":{"content":[{"type":"text","text":"${LARGE}`;
const STOPS = { "tools/call read": { body: begun, headers: JSON_TYPE, isEndless: true } };
const STREAMS = {
  "tools/call read": { body: `data: ${begun}`, headers: { "content-type": "text/event-stream" }, isEndless: true },
};
const ANSWERS = { "tools/call read": { body: `${begun}"}]}}`, headers: JSON_TYPE } };

/** A call of a tool, as a client of 2025 makes it. */
function call(user: TestUser, machineId: string, signal?: AbortSignal): Promise<Response> {
  const params = { name: "call_tool", arguments: { machineId, name: "read" } };
  const headers = { ...JSON_TYPE, accept: "application/json, text/event-stream", "mcp-protocol-version": REVISION };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
  return user.fetch("/mcp", { method: "POST", headers, body, ...(signal === undefined ? {} : { signal }) });
}

test("there is room for a part of them: of each machine, each person and all", async () => {
  const limits = { perMachine: 10, perUser: 15, total: 20, waitMs: 20 };
  const answers = new LargeAnswers(limits);
  const [ann, other, bob, eve] = [answers.of("ann"), answers.of("ann"), answers.of("bob"), answers.of("eve")];
  expect(await ann.add("attic", 8)).not.toBeNull();
  expect(await other.add("attic", 3)).toBeNull();
  expect(await other.add("cellar", 7)).not.toBeNull();
  expect(await other.add("loft", 1)).toBeNull();
  expect(await bob.add("attic", 5)).not.toBeNull();
  expect(await eve.add("attic", 1)).toBeNull();
  for (const held of [ann, other, bob]) held.release();
  expect(answers.counted).toBe(0);
});

test("those of a machine come in turn, and whoever has left is passed over", async () => {
  const answers = new LargeAnswers({ perMachine: 10, perUser: 20, total: 20, waitMs: 20_000 });
  const first = answers.of("ann");
  const read = await first.add("attic", 10);
  if (read === null) throw new Error("there was room");
  const order: string[] = [];
  const [left, large, small] = [answers.of("ann"), answers.of("ann"), answers.of("ann")];
  const waits = [
    left.add("attic", 1).then((held) => order.push(held === null ? "left" : "held")),
    large.add("attic", 8).then((held) => order.push(held === null ? "none" : "large")),
    small.add("attic", 5).then((held) => order.push(held === null ? "none" : "small")),
  ];
  left.release();
  first.shrink(read, 4); // there would be room for the small one, which came last
  expect(await answers.of("ann").add("cellar", 1)).not.toBeNull();
  first.release();
  await Promise.all(waits.slice(0, 2));
  expect(order).toEqual(["left", "large"]);
  large.release();
  await Promise.all(waits);
  expect(order).toEqual(["left", "large", "small"]);
  small.release();
  // Its request is over, so nobody would give back what it takes now.
  expect(await small.add("attic", 1)).toBeNull();
  expect(answers.counted).toBe(1);
});

describe("the gate, which reads an answer of a machine,", () => {
  const reading = (limitBytes: number) => {
    const answers = new LargeAnswers({ perMachine: 1e6, perUser: 1e6, total: 1e6, waitMs: 20_000 });
    return { answers, reading: { machine: "attic", held: answers.of("ann"), limitBytes } };
  };
  /** An event of 100,000 bytes. */
  const event = (letter: string) => `data: ${letter.repeat(99_992)}\n\n`;

  test("takes one that is longer than it announced", async () => {
    const text = "x".repeat(100_000);
    const body = new Blob([text]).stream();
    const answer = new Response(body, { headers: { "content-length": "10" } });
    expect(await answerText(answer, reading(200_000).reading)).toBe(text);
  });

  test("reads one that is too large no further, and tells its sender to stop", async () => {
    let isStopped = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(50_000)),
      cancel: () => void (isStopped = true),
    });
    await expect(answerText(new Response(endless), reading(100_000).reading)).rejects.toThrow();
    await expect.poll(() => isStopped).toBe(true);
  });

  test("takes no event of a stream that is too large, and counts each until the next one is read", async () => {
    const { answers, reading: asked } = reading(150_000);
    const large = `data: ${"x".repeat(1_000_000)}\n\n`;
    const events = eventsWithin(new Response(event("a") + event("b") + large), asked);
    expect((await events.next()).value).toMatch(/^a+$/);
    expect((await events.next()).value).toMatch(/^b+$/);
    expect(answers.counted).toBeLessThan(150_001);
    await expect(events.next()).rejects.toThrow();
    asked.held.release();
    expect(answers.counted).toBe(0);
  });
});

test.each([
  ["in JSON", STOPS],
  ["in a stream", STREAMS],
])(
  "a machine that stops in the middle of its answers %s holds one of them, and keeps no other machine's",
  async (_, answers) => {
    const user = new TestUser();
    await user.machine("attic", { answers });
    await user.machine("cellar", { answers: ANSWERS });
    const left = new AbortController();
    const stopped = [1, 2, 3].map(() => call(user, "attic", left.signal).catch(() => undefined));
    await expect.poll(() => largeAnswers.counted).toBeGreaterThan(0);
    const counted = largeAnswers.counted;
    const answered = await call(user, "cellar");
    expect(await answered.text()).toContain(LARGE);
    await expect.poll(() => largeAnswers.counted).toBe(counted);
    expect(counted).toBe(8 * 1024 * 1024);
    left.abort();
    await expect.poll(() => largeAnswers.counted).toBe(0);
    await Promise.all(stopped);
  },
);

test("an answer counts until its client has read it, or has left", async () => {
  const user = new TestUser();
  await user.machine("attic", { answers: ANSWERS });
  const unread = await call(user, "attic");
  expect(largeAnswers.counted).toBeGreaterThan(LARGE.length);
  expect(largeAnswers.counted).toBeLessThan(2 * LARGE.length);
  expect(await unread.text()).toContain(LARGE);
  await expect.poll(() => largeAnswers.counted).toBe(0);
  const left = new AbortController();
  await call(user, "attic", left.signal);
  expect(largeAnswers.counted).toBeGreaterThan(0);
  left.abort();
  await expect.poll(() => largeAnswers.counted).toBe(0);
});

test("a client of 2026-07-28 has its answers counted as well, and an error gives the room back", async () => {
  const user = new TestUser();
  await user.machine("attic", { answers: ANSWERS });
  expect((await user.tool("call_tool", { machineId: "attic", name: "read" })).content[0]?.text).toBe(LARGE);
  await user.script("attic", { answers: { "tools/call read": { body: LARGE.repeat(30), headers: JSON_TYPE } } });
  expect(failureOf(await user.tool("call_tool", { machineId: "attic", name: "read" }))).toBe("answer_too_large");
  await expect.poll(() => largeAnswers.counted).toBe(0);
});
