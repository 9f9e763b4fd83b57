import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { readOutputLines } from "../../../scripts/system/output-lines.ts";

async function linesOf(chunks: readonly string[], maxBytes = 100): Promise<[string, boolean][]> {
  const stream = new PassThrough();
  const lines: [string, boolean][] = [];
  readOutputLines(stream, maxBytes, (line, isCut) => lines.push([line, isCut]));
  const ended = new Promise((resolve) => stream.once("end", resolve));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  return lines;
}

test("lines come whole, in however many pieces they are written, and the last one also without an end", async () => {
  expect(await linesOf(["one\r\n\ntw", "o\nthr", "ee"])).toEqual([
    ["one", false],
    ["", false],
    ["two", false],
    ["three", false],
  ]);
});

test("JSON with a line separator in a text is one line", async () => {
  const line = JSON.stringify({ command: "a\u2028b\u2029c" });
  expect(await linesOf([`${line}\n`])).toEqual([[line, false]]);
});

test("of a line of any length only the beginning is kept", async () => {
  const long = Array.from({ length: 50 }, () => "x".repeat(10));
  expect(await linesOf([...long, "\nnext\n"])).toEqual([
    ["x".repeat(100), true],
    ["next", false],
  ]);
});
