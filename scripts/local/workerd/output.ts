import type { Readable } from "node:stream";
import * as z from "zod";
import { readOutputLines } from "../../system/output-lines.ts";

/** What is read of one line. A hosted server can print lines of any length, and the log keeps the first 20,000 characters of each. */
const MAX_LINE_BYTES = 128 * 1024;

/** One line that workerd prints with `structuredLogging`. */
const Structured = z.object({ level: z.string(), message: z.string() });

export interface Said {
  readonly level: string;
  readonly message: string;
}

/** Calls `onMessage` for each message that workerd prints. workerd prints plain lines only while it starts. */
export function readOutput(stream: Readable, onMessage: (said: Said) => void): void {
  readOutputLines(stream, MAX_LINE_BYTES, (line, isCut) => onMessage(parse(isCut ? `${line} ...` : line)));
}

function parse(line: string): Said {
  try {
    return Structured.parse(JSON.parse(line));
  } catch {
    return { level: "error", message: line }; // plain text, shown unchanged
  }
}
