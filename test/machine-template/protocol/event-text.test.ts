import { EventSourceParserStream } from "eventsource-parser/stream";
import { describe, expect, it } from "vitest";
import { eventText } from "#protocol/event-text.ts";
import { utf8 } from "#protocol/bytes.ts";

function bytesOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function textOf(chunks: readonly Uint8Array[]): Promise<string> {
  let text = "";
  for await (const part of bytesOf(chunks).pipeThrough(eventText())) text += part;
  return text;
}

async function dataOf(chunks: readonly Uint8Array[]): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of bytesOf(chunks).pipeThrough(eventText()).pipeThrough(new EventSourceParserStream()))
    found.push(data);
  return found;
}

const stream = utf8("data: one\r\ndata: \u{1F600}\r\n\r\ndata: two\r\rdata: three\n\n");

describe("an event stream's text", () => {
  it("has one kind of line end, wherever its chunks are cut", async () => {
    for (let size = 1; size <= stream.length; size += 1) {
      const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, index) =>
        stream.subarray(index * size, (index + 1) * size),
      );
      expect(await textOf([...chunks, new Uint8Array()])).toBe(
        "data: one\ndata: \u{1F600}\n\ndata: two\n\ndata: three\n\n",
      );
      expect(await dataOf(chunks)).toEqual(["one\n\u{1F600}", "two", "three"]);
    }
  });

  it("keeps empty lines that begin a chunk", async () => {
    expect(await textOf([utf8("a\r"), utf8("\n"), utf8("\n"), utf8("b\r"), utf8("\r\n")])).toBe("a\n\nb\n\n");
    expect(await textOf([utf8("a\r"), new Uint8Array(), utf8("\n\nb\n")])).toBe("a\n\nb\n");
  });

  // Without eventText it takes minutes.
  it("of a million lines is read at once, also if only the last of them ends in another way", async () => {
    const filler = "\n".repeat(1024 * 1024);
    expect(await dataOf([utf8(`${filler}data: late\r\n\r\n`)])).toEqual(["late"]);
    expect(await dataOf([utf8(`${filler.replaceAll("\n", "\r")}data: late\n\n`)])).toEqual(["late"]);
  });
});
