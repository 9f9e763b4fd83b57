import type { Readable } from "node:stream";
import * as z from "zod";
import { readOutputLines } from "../../system/output-lines.ts";
import type { OutputPace } from "./output-pace.ts";

/** What is read of one line. A hosted server can print lines of any length, and the log keeps the first 20,000 characters of each. */
const MAX_LINE_BYTES = 128 * 1024;

/** One line that workerd prints with `structuredLogging`. */
const Structured = z.object({ level: z.string(), message: z.string() });

export interface Said {
  readonly level: string;
  readonly message: string;
}

/**
 * Calls `onMessage` for each message that workerd prints. workerd prints plain lines only while it starts.
 * @param pace how fast it is read; `null`: as fast as it comes
 */
export function readOutput(stream: Readable, onMessage: (said: Said) => void, pace: OutputPace | null = null): void {
  let lines = 0;
  readOutputLines(stream, MAX_LINE_BYTES, (line, isCut) => {
    lines += 1;
    onMessage(parse(isCut ? `${line} ...` : line));
  });
  if (pace === null) return;
  stream.on("data", (chunk: Buffer) => {
    const restMs = pace.restAfter(lines, chunk.length);
    lines = 0;
    if (restMs === 0) return;
    stream.pause();
    setTimeout(() => stream.resume(), restMs).unref();
  });
}

function parse(line: string): Said {
  try {
    return Structured.parse(JSON.parse(line));
  } catch {
    return { level: "error", message: line }; // plain text, shown unchanged
  }
}
