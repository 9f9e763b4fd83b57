import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { StreamKeepAlive } from "../../../scripts/front/stream-keep-alive.ts";

const QUIET_MS = 15_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

/** The output of a stream for these chunks, with a pause after each. */
async function passed(chunks: readonly string[], quietMs = QUIET_MS): Promise<string> {
  const stream = new StreamKeepAlive(QUIET_MS);
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  for (const chunk of chunks) {
    stream.write(chunk);
    await new Promise(setImmediate);
    vi.advanceTimersByTime(quietMs);
    await new Promise(setImmediate);
  }
  stream.end();
  await new Promise(setImmediate);
  return text;
}

it.each([
  ["after an event", ["data: 1\n\n"], "data: 1\n\n: keep-alive\n\n"],
  ["after an event with carriage returns", ["data: 1\r\n\r\n"], "data: 1\r\n\r\n: keep-alive\n\n"],
  ["after an event whose end came in two pieces", ["data: 1\r\n", "\r\n"], "data: 1\r\n\r\n: keep-alive\n\n"],
])("a quiet stream gets a comment %s", async (_, chunks, expected) => {
  expect(await passed(chunks)).toBe(expected);
});

it.each([
  ["in the middle of a line", ["data: 1"]],
  ["between two lines of one event", ["event: message\n"]],
  ["between two lines that end in carriage returns", ["event: message\r\n"]],
])("a quiet stream gets no comment %s", async (_, chunks) => {
  expect(await passed(chunks)).toBe(chunks.join(""));
});

it("a stream with data in time gets no comment", async () => {
  expect(await passed(["data: 1\n\n", "data: 2\n\n"], QUIET_MS - 1)).toBe("data: 1\n\ndata: 2\n\n");
});
