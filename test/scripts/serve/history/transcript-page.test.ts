import * as fc from "fast-check";
import { open } from "node:fs/promises";
import { expect, test } from "vitest";
import { MAX_LINE_BYTES, readLines, readLinesBackward } from "../../../../scripts/serve/history/line-reader.ts";
import { readPage, readPart } from "../../../../scripts/serve/history/transcript-page.ts";
import { answered, said, sessionId, TestHistory, toolResult } from "./support/history-file.ts";

const SESSION = sessionId(1);

async function allPages(path: string, limit: number) {
  const pages = [];
  let unreadable = 0;
  for (let cursor: string | null = null; ;) {
    const page = await readPage(path, cursor, limit);
    pages.push(page.messages.map((message) => message["message_id"]));
    unreadable += page.unreadableLines;
    cursor = page.cursor;
    if (cursor === null) return { ids: pages.toReversed().flat(), pages: pages.length, unreadable };
  }
}

test("pages go from the newest to the oldest message, with each message once and in order", async () => {
  using history = new TestHistory();
  const lines = Array.from({ length: 25 }, (_, index) => said(`message ${index}`, { id: String(index) }));
  const path = history.write("-api", SESSION, lines);
  expect((await readPage(path, null, 3)).messages.map((message) => message["message_id"])).toEqual([
    "u-22",
    "u-23",
    "u-24",
  ]);
  const { ids, pages } = await allPages(path, 10);
  expect(ids).toEqual(lines.map((_, index) => `u-${index}`));
  expect(pages).toBe(3);
});

test("a cursor stays at the same place however much is written after it", async () => {
  using history = new TestHistory();
  const path = history.write("-api", SESSION, [said("one"), said("two"), said("three")]);
  const { cursor } = await readPage(path, null, 1);
  history.append("-api", SESSION, [said("four"), said("five")]);
  expect((await readPage(path, cursor, 1)).messages).toEqual([expect.objectContaining({ message_id: "u-two" })]);
});

test("a giant tool result is cut, and its handle returns all of it in parts", async () => {
  using history = new TestHistory();
  const giant = "0123456789ä".repeat(100_000);
  const path = history.write("-api", SESSION, [said("read it"), toolResult(giant)]);
  const page = await readPage(path, null, 10);
  expect(JSON.stringify(page).length).toBeLessThan(40_000);
  const [part] = (page.messages.at(-1)?.["parts"] ?? []) as { truncated: { handle: string; total_chars: number } }[];
  expect(part?.truncated.total_chars).toBe(giant.length);
  let whole = "";
  for (let offset: number | null = 0; offset !== null;) {
    const piece = await readPart(path, part?.truncated.handle ?? "", offset);
    whole += String(piece["text"]);
    offset = piece["next_offset"] as number | null;
  }
  expect(whole).toBe(giant);
  await expect(readPart(path, "99999999.0", 0)).rejects.toThrow("handle");
  await expect(readPart(path, "../etc/passwd", 0)).rejects.toThrow("handle");
});

test("an unfinished line is read later, and invalid ones are counted", async () => {
  using history = new TestHistory();
  const broken = ['{"type":"user","mess\n', "\u0000\u0001\n", "[1,2]\n", '"text"\n', '{"no":"type"}\n'];
  const path = history.write("-api", SESSION, [said("one"), ...broken, answered("two"), '{"type":"user"']);
  const page = await readPage(path, null, 10);
  expect(page.messages.map((message) => message["message_id"])).toEqual(["u-one", "a-two"]);
  expect(page.unreadableLines).toBe(broken.length);
});

test("an oversized line is counted and skipped, forwards and backwards", async () => {
  using history = new TestHistory();
  const path = history.write("-api", SESSION, [said("before"), `${"x".repeat(MAX_LINE_BYTES + 1)}\n`, said("after")]);
  const page = await readPage(path, null, 10);
  expect(page.messages.map((message) => message["message_id"])).toEqual(["u-before", "u-after"]);
  expect(page.unreadableLines).toBe(1);
  const file = await open(path);
  const texts = [];
  for await (const { lines } of readLines(file, 0)) texts.push(...lines.map((line) => line.text === null));
  await file.close();
  expect(texts).toEqual([false, true, false]);
});

test("whatever bytes a file contains, lines are the same forwards, backwards, and from any line on", async () => {
  using history = new TestHistory();
  const path = history.path("-api", SESSION);
  const { writeFileSync } = await import("node:fs");
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom("\n", "\n\n", JSON.stringify(said("x")), `${JSON.stringify(answered("y"))}\n`, "\r\n", "é\n")
      .map(Buffer.from),
    fc.integer({ min: 1, max: 3 }).map((n) => Buffer.from("z".repeat(n * 400_000))),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const content = Buffer.concat(pieces);
      writeFileSync(path, content);
      const file = await open(path);
      try {
        const forward = [];
        let end = 0;
        for await (const batch of readLines(file, 0)) {
          forward.push(...batch.lines);
          end = batch.end;
        }
        const backward = [];
        for await (const line of readLinesBackward(file, content.length)) backward.push(line);
        expect(backward.toReversed()).toEqual(forward);
        expect(end).toBe(content.lastIndexOf(0x0a) + 1);
        const expected = content.subarray(0, end).toString("latin1").split("\n").slice(0, -1);
        expect(forward.map((line) => line.bytes)).toEqual(
          expected.filter((one) => one !== "").map((one) => one.length),
        );
        const middle = forward[Math.floor(forward.length / 2)];
        if (middle !== undefined) {
          const rest = [];
          for await (const batch of readLines(file, middle.offset)) rest.push(...batch.lines);
          expect(rest).toEqual(forward.slice(Math.floor(forward.length / 2)));
        }
        // And a page never fails because of it.
        await allPages(path, 3);
      } finally {
        await file.close();
      }
    }),
    { numRuns: 60 },
  );
});

test("whatever JSON a line contains, it is a message, another entry, or counted as invalid", async () => {
  using history = new TestHistory();
  const field = fc.oneof(fc.jsonValue(), fc.constantFrom("user", "assistant", "cost-state", "ai-title"));
  const line = fc.dictionary(
    fc.constantFrom("type", "uuid", "timestamp", "cwd", "message", "summary", "modelUsage", "totalCostUSD", "isMeta"),
    fc.oneof(field, fc.record({ content: field, usage: field, model: field, id: field }, { requiredKeys: [] })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 8 }), async (lines) => {
      const path = history.write("-api", SESSION, [...lines, said("last")]);
      const page = await readPage(path, null, 100);
      expect(page.messages.at(-1)).toMatchObject({ message_id: "u-last" });
    }),
    { numRuns: 200 },
  );
});
